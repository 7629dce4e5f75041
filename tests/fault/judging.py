"""What holds in every case, asked of what the rig itself has seen: beside the separate checker, not instead of it."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from schemas.calls import CallPhase
from streams.embedded.events import Exited
from streams.simulator.call_log import Call
from streams.verify.verdict import Verdict
from tests.fault.seen import Seen


@dataclass(slots=True)
class Ledger:
    """What the repeats before this one have left on the stack: `before` is the verdict at their end."""

    acknowledged_log: Path
    checkpoint: Path
    before: Verdict | None = None

    def grown(self, verdict: Verdict, *names: str) -> dict[str, int]:
        """How much counts of the verdict have grown since the repeat before."""
        return {n: int(getattr(verdict, n)) - (0 if self.before is None else int(getattr(self.before, n))) for n in names}


def finals(seen: Seen, acknowledged: Collection[str]) -> Iterator[str]:
    """I1 and I2, as a reader of ai.responses sees them."""
    missing = [r for r in acknowledged if r not in seen.finals]
    if missing:
        yield f"{len(missing)} acknowledged requests without a final, {missing[0]} for one"
    twice = [r for r, found in seen.finals.items() if len({f.response.tenant for f in found}) < len(found)]
    if twice:
        yield f"{len(twice)} requests with two finals, {twice[0]} for one"


def counted(final: int, *, sent: int, given_up: int) -> str:
    """The checker must have seen what was published: every acknowledged request, and nothing that was not sent."""
    if sent - given_up <= final <= sent:
        return ""
    return f"the checker counts {final} new finals, {sent} requests were sent and {given_up} of them not acknowledged"


def attempts(seen: Seen, calls: Sequence[Call], cap: int) -> Iterator[str]:
    """I5 at the provider. The cap counts orders, and a crash may repeat an order."""
    repeated: Counter[str] = Counter()
    for (request_id, _), count in Counter((r.request_id, r.attempt) for r in seen.started.values()).items():
        repeated[request_id] += count - 1
    for request_id, count in Counter(str(call.request_id) for call in calls).items():
        if count > cap + repeated[request_id]:
            yield f"{request_id} was called {count} times at the provider, its cap is {cap}"


def estimates(seen: Seen, calls: Iterable[Call]) -> Iterator[str]:
    """An estimate of a call whose result is not known covers what the provider bills for it."""
    billed = {call.call_id: call for call in calls}
    for event in (event for events in seen.costs.values() for event in events if event.estimated):
        call, ended = billed.get(event.call_id), seen.ended.get(str(event.call_id))
        known = ended is not None and ended.phase is CallPhase.COMPLETED
        if call is None or event.usage is None or known:
            continue
        if event.usage.input_tokens < call.input_tokens or event.usage.output_tokens < call.output_tokens:
            yield f"the estimate of call {event.call_id} is {event.usage}, the provider bills {call}"


def deaths(exits: Iterable[object], expected: int | None) -> str:
    """So many processes ended unasked, and no others."""
    ended = [event for event in exits if isinstance(event, Exited)]
    if expected is None or len(ended) == expected:
        return ""
    return f"{len(ended)} deaths, {expected} expected: {', '.join(f'{e.name} ({e.exit_code})' for e in ended)}"


def above(what: str, value: float | None, limit: float | None) -> str:
    """
    >>> above("recovery took, in seconds,", 8.25, 8.0)
    'recovery took, in seconds, 8.25, the limit is 8'
    """
    return "" if value is None or limit is None or value <= limit else f"{what} {value:.4g}, the limit is {limit:g}"
