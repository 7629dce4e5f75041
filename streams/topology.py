"""Every hop as data, in the order of the way of a request: who reads what, writes what, as which group, and what it remembers.

The one place that knows the order of the stages. The README's diagram is `diagram()`; a contract test compares the two, and
another checks that every topic of `streams.topics` has a writer here.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from streams import topics
from streams.topics import Topic

ANY_PROVIDER = "<provider>"
"""Stands for each provider of the catalogue in names of roles and topics."""

CALLS = topics.calls(ANY_PROVIDER)
OUTSIDE = "your programs"


class Delivery(StrEnum):
    """What a kill of the hop's process at any point can do to its output."""

    AT_LEAST_ONCE = "at least once"
    """Input that was not acknowledged comes again, and its output stands in the log again."""
    ONE_TRANSACTION = "one transaction"
    """Output, state and input offsets commit together or not at all."""
    BEST_EFFORT = "best effort"
    """Nothing depends on it: it may be lost or stand twice."""


@dataclass(frozen=True, slots=True)
class Sink:
    """One topic that a hop writes, and how surely."""

    topic: str
    delivery: Delivery


@dataclass(frozen=True, slots=True)
class Hop:
    """One agent of one role; the dispatcher, `health`, `edge` and `webhooks` are no Faust agents.

    `sources` are consumed as the group of the role; `follows` are read whole by every process of the role, without a group.
    `tables` are what the hop remembers between records: the dispatcher's state stands in its changelog, all others are
    caches that can be lost.
    """

    role: str
    agent: str
    does: str
    sources: tuple[str, ...]
    sinks: tuple[Sink, ...] = ()
    follows: tuple[str, ...] = ()
    tables: tuple[str, ...] = ()


_SURE = Delivery.AT_LEAST_ONCE
_ATOMIC = Delivery.ONE_TRANSACTION
_EARLY = Delivery.BEST_EFFORT

# fmt: off
HOPS = (
    Hop("intake", "intake", "validates, classifies, asks the cache, routes",
        sources=(topics.REQUESTS,),
        sinks=(Sink(topics.ROUTED, _SURE), Sink(topics.SEMANTIC, _SURE), Sink(topics.DEAD_LETTERS, _SURE)),
        follows=(topics.HEALTH, topics.COSTS, topics.SEMANTIC, topics.CONFIG),
        tables=("answer cache (read)", "semantic index", "token calibration", "routing in force")),
    Hop("dispatch", "dispatch", "orders calls, retries, settles, answers",
        sources=(topics.ROUTED, topics.ATTEMPTS),
        sinks=(Sink(CALLS, _ATOMIC), Sink(topics.RESPONSES, _ATOMIC), Sink(topics.COSTS, _ATOMIC),
               Sink(topics.COST_TOTALS, _ATOMIC), Sink(topics.CHANGELOG, _ATOMIC), Sink(topics.DEAD_LETTERS, _ATOMIC)),
        follows=(topics.CANCELLATIONS,),
        tables=("open requests, started calls, circuits and totals (" + topics.CHANGELOG + ")",)),
    Hop(f"calls:{ANY_PROVIDER}", "calls", "calls the provider",
        sources=(CALLS,),
        sinks=(Sink(topics.ATTEMPTS, _SURE), Sink(topics.CHUNKS, _EARLY), Sink(topics.HEALTH, _EARLY),
               Sink(topics.DEAD_LETTERS, _SURE)),
        follows=(topics.CANCELLATIONS,)),
    Hop("tables", "cache-fill", "holds the cost totals, stores complete answers",
        sources=(topics.RESPONSES,),
        sinks=(Sink(topics.SEMANTIC, _SURE),),
        follows=(topics.COST_TOTALS,),
        tables=("answer cache (write)", "cost totals")),
    Hop("health", "health", "raises alerts, probes idle deployments",
        sources=(topics.HEALTH,),
        sinks=(Sink(topics.ALERTS, _SURE), Sink(topics.HEALTH, _EARLY)),
        follows=(topics.COSTS, topics.DEAD_LETTERS, topics.ALERTS, topics.FEEDBACK),
        tables=("health of deployments", "alerts that stand", "accuracy of models")),
    Hop("edge", "edge", "speaks HTTP: publishes requests, answers from the log",
        sources=(),
        sinks=(Sink(topics.REQUESTS, _SURE), Sink(topics.IDEMPOTENCY, _SURE), Sink(topics.CANCELLATIONS, _SURE),
               Sink(topics.FILES, _SURE), Sink(topics.BATCHES, _SURE),
               Sink(topics.WEBHOOKS, _SURE), Sink(topics.WEBHOOK_DELIVERIES, _SURE), Sink(topics.CONFIG, _SURE)),
        follows=(topics.RESPONSES, topics.CHUNKS, topics.KEYS, topics.IDEMPOTENCY, topics.BATCHES, topics.WEBHOOKS,
                 topics.CONFIG, topics.COSTS, topics.COST_TOTALS, topics.HEALTH, topics.ALERTS, topics.DEAD_LETTERS),
        tables=("who waits for what", "keys", "claims of Idempotency-Keys", "files and batches")),
    Hop("edge", "batches", "carries batches out",
        sources=(topics.BATCHES,),
        sinks=(Sink(topics.REQUESTS, _SURE), Sink(topics.FILES, _ATOMIC), Sink(topics.BATCHES, _ATOMIC)),
        follows=(topics.RESPONSES, topics.FILES),
        tables=("batches under way (" + topics.BATCHES + ")",)),
    Hop("webhooks", "webhooks", "tells endpoints of what became of requests",
        sources=(topics.RESPONSES, topics.WEBHOOK_DELIVERIES),
        sinks=(Sink(topics.WEBHOOK_DELIVERIES, _SURE), Sink(topics.WEBHOOKS, _SURE), Sink(topics.DEAD_LETTERS, _SURE)),
        follows=(topics.WEBHOOKS,),
        tables=("deliveries that wait", "endpoints")),
)
# fmt: on

PUBLISHED_BY_YOU = (topics.REQUESTS, topics.FEEDBACK, topics.KEYS)
READ_BY_YOU = (
    topics.RESPONSES,
    topics.CHUNKS,
    topics.COSTS,
    topics.COST_TOTALS,
    topics.FEEDBACK,
    topics.DEAD_LETTERS,
    topics.ALERTS,
)
"""The topics that are an interface: the others may change with a release."""


def roles() -> tuple[str, ...]:
    """Every role once, in the order of the way of a request.

    >>> roles()
    ('intake', 'dispatch', 'calls:<provider>', 'tables', 'health', 'edge', 'webhooks')
    """
    return tuple(dict.fromkeys(hop.role for hop in HOPS))


def writers(topic: str) -> tuple[Hop, ...]:
    """The hops that write a topic.

    >>> [hop.role for hop in writers("ai.responses")]
    ['dispatch']
    """
    return tuple(hop for hop in HOPS if any(sink.topic == topic for sink in hop.sinks))


def readers(topic: str) -> tuple[Hop, ...]:
    """The hops that consume or follow a topic.

    >>> [hop.agent for hop in readers("ai.responses")]
    ['cache-fill', 'edge', 'batches', 'webhooks']
    """
    return tuple(hop for hop in HOPS if topic in (*hop.sources, *hop.follows))


def diagram() -> str:
    """The dataflow as a Mermaid flowchart that also reads as text: one line a role, then one line a topic.

    >>> print(diagram().splitlines()[0])
    flowchart TD
    """
    nodes = {"you": f'(["{OUTSIDE}"])'} | {_node(role): f'["{_plain(role)}: {_does(role)}"]' for role in roles()}
    edges = tuple(_edges())
    wide, labels = (max(len(edge[column]) for edge in edges) for column in (0, 1))
    lines = (
        "flowchart TD",
        *(f"    {node}{shape}" for node, shape in nodes.items()),
        "",
        *(f"    {source:<{wide}} -- {label:<{labels}} --> {targets}" for source, label, targets in edges),
    )
    return "\n".join(lines)


def _edges() -> Iterator[tuple[str, str, str]]:
    """One line a topic: who writes it, its label, who reads it."""
    known = topics.all_topics((ANY_PROVIDER,))
    written = dict.fromkeys((*PUBLISHED_BY_YOU, *(sink.topic for hop in HOPS for sink in hop.sinks)))
    for name in written:
        sources = [*(["you"] if name in PUBLISHED_BY_YOU else []), *(_node(hop.role) for hop in writers(name))]
        targets = [_node(hop.role) for hop in readers(name)]
        if name in READ_BY_YOU:
            targets.append("you")
        if name == topics.CHANGELOG:
            targets.extend(sources)
        yield " & ".join(dict.fromkeys(sources)), _label(known[name]), " & ".join(dict.fromkeys(targets))


def _label(topic: Topic) -> str:
    compacted = ", compacted" if topic.compacted else ""
    return f'"{_plain(topic.name)}: {topic.record.__name__}, key {_plain(topic.key)}{compacted}"'


def _plain(text: str) -> str:
    """Mermaid takes what stands in angle brackets for HTML.

    >>> _plain("calls:<provider>")
    'calls:PROVIDER'
    """
    return re.sub(r"<(\w+)>", lambda found: found[1].upper(), text)


def _does(role: str) -> str:
    return "; ".join(hop.does for hop in HOPS if hop.role == role)


def _node(role: str) -> str:
    return role.partition(":")[0]
