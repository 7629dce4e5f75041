"""Lists the topics: what `penstock topics` does."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from schemas.serde import Serde
from streams import topics
from streams.cli import screen
from streams.cli.cluster import StandingTopic, open_cluster
from streams.cli.exits import ExitCode
from streams.cli.reading import open_reader
from streams.cli.wire import open_serde
from streams.target import Target, find_target

PURPOSE = {
    topics.REQUESTS: "requests, published by your programs",
    topics.ROUTED: "requests, classified and routed",
    topics.ATTEMPTS: "what became of provider calls",
    topics.RESPONSES: "answers: exactly one final each request",
    topics.COSTS: "what each call cost: one event a started call",
    topics.COST_TOTALS: "absolute totals by hour, lane, provider and model",
    topics.CHANGELOG: "the dispatcher's state",
    topics.CHUNKS: "pieces of streamed answers, early and best-effort",
    topics.HEALTH: "what each call told about its deployment",
    topics.SEMANTIC: "questions whose answers other wordings may meet",
    topics.ALERTS: "what a person should look at, and the end of it",
    topics.FEEDBACK: "your judgements of answers",
    topics.DEAD_LETTERS: "records that could not be processed, as they came",
}
_DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class Line:
    """One topic of the list; `partitions` None: it does not stand."""

    name: str
    partitions: int | None
    retention: str
    record: str
    schema_id: int
    ends: Mapping[int, int]
    purpose: str

    def as_json(self) -> dict[str, Any]:
        return {
            "topic": self.name,
            "exists": self.partitions is not None,
            "partitions": self.partitions,
            "retention": self.retention,
            "record": self.record,
            "schema_id": self.schema_id,
            "end_offsets": {str(partition): end for partition, end in self.ends.items()},
            "purpose": self.purpose,
        }


def purpose_of(name: str) -> str:
    """What a topic is for.

    >>> purpose_of("ai.calls.openai")
    'orders of calls to openai'
    """
    return PURPOSE.get(name) or f"orders of calls to {name.removeprefix(topics.CALLS_PREFIX)}"


def retention(config: Mapping[str, str]) -> str:
    """How long records stay.

    >>> retention({"cleanup.policy": "delete", "retention.ms": "604800000"})
    '7 days'
    """
    if "compact" in config.get("cleanup.policy", ""):
        return "last of each key"
    kept_ms = int(config.get("retention.ms", "-1"))
    if kept_ms < 0:
        return "for ever"
    days, rest = divmod(kept_ms, _DAY_MS)
    return f"{days} day{'' if days == 1 else 's'}" if days and not rest else f"{kept_ms / 1000:g} s"


async def run(bootstrap_servers: str | None, data_dir: Path | None, *, as_json: bool) -> ExitCode:
    """Print the list; NO when a topic is missing."""
    target = find_target(bootstrap_servers, data_dir)
    lines = await _lines(target)
    missing = [line.name for line in lines if line.partitions is None]
    if as_json:
        for line in lines:
            screen.put_json(line.as_json())
    else:
        _show(lines)
    if missing:
        screen.say(f"penstock: {', '.join(missing)} missing: create them with `penstock init`")
    return ExitCode.NO if missing else ExitCode.OK


async def _lines(target: Target) -> list[Line]:
    async with open_cluster(target.settings) as cluster:
        standing = {name: topic for name, topic in (await cluster.topics()).items() if name.startswith("ai.")}
    providers = {name.removeprefix(topics.CALLS_PREFIX) for name in standing if name.startswith(topics.CALLS_PREFIX)}
    wanted = topics.all_topics(providers | set(target.stack.providers if target.stack else ()))
    ends: dict[str, dict[int, int]] = {}
    present = [name for name in wanted if name in standing]
    serde = await open_serde(target.settings, present)
    if present:
        async with open_reader(target.settings, present) as reader:
            for partition, end in (await reader.ends()).items():
                ends.setdefault(partition.topic, {})[partition.partition] = end
    return [_line(topic, standing.get(name), ends.get(name, {}), serde) for name, topic in wanted.items()]


def _line(topic: topics.Topic, standing: StandingTopic | None, ends: Mapping[int, int], serde: Serde) -> Line:
    record = topic.record.__name__
    return Line(
        name=topic.name,
        partitions=standing.partitions if standing else None,
        retention=retention(standing.config if standing else topic.broker_config()),
        record=record,
        schema_id=serde.catalogue.write_id(record),
        ends=ends,
        purpose=purpose_of(topic.name),
    )


def _show(lines: list[Line]) -> None:
    from rich.table import Table  # noqa: PLC0415

    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    for name in ("topic", "partitions", "kept", "record", "schema", "end offsets"):
        table.add_column(name, justify="right" if name in {"partitions", "schema"} else "left", no_wrap=True)
    table.add_column("what for", overflow="fold", min_width=16)
    for line in lines:
        partitions = "missing" if line.partitions is None else str(line.partitions)
        offsets = " ".join(f"{end:,}" for _, end in sorted(line.ends.items()))
        table.add_row(line.name, partitions, line.retention, line.record, str(line.schema_id), offsets, line.purpose)
    screen.console().print(table)
