"""The dispatcher's state as a replay of its changelog has it, beside what the other topics say of the same."""

import time
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from aiokafka import AIOKafkaConsumer
from aiokafka.structs import ConsumerRecord, TopicPartition

from processors.dispatch.state import Finished, LaneState, request_key
from schemas.ledger import CostTotal
from schemas.serde import Serde
from streams import topics
from streams.dispatcher.changelog import Changelog
from tests.fault.rig import Rig

SERDE = Serde()


@dataclass(slots=True)
class Replay:
    """The lanes of all partitions; `records` are those the changelog still has, `keys` those with a value."""

    lanes: dict[int, LaneState] = field(default_factory=dict)
    records: int = 0
    keys: int = 0


async def replay(rig: Rig) -> Replay:
    """Fold the changelog from its beginning."""
    found, changelog, keys = Replay(), Changelog(SERDE), set()
    for record in await committed(rig, topics.CHANGELOG):
        state = found.lanes.setdefault(record.partition, LaneState())
        changelog.apply(state, record.key.decode(), record.value)
        found.records += 1
        (keys.discard if record.value is None else keys.add)((record.partition, record.key))
    found.keys = len(keys)
    return found


async def differences(rig: Rig, found: Replay) -> list[str]:
    """Where the replayed state is not what the answers and totals say; call it when all is drained and dispatchers rest."""
    finals = [response for finals in rig.seen.finals.values() for response in (f.response for f in finals)]
    finished = {key: state for lane in found.lanes.values() for key, state in lane.finished.items()}
    expected = {request_key(r.tenant, r.request_id): (r.status.value, r.answered_at) for r in finals}
    totals = {key: total for lane in found.lanes.values() for key, total in lane.totals.items()}
    return [
        *_lost(finished.keys(), expected),
        *(f"{key} is {finished[key]} in the changelog" for key in expected if _said(finished, key) not in {None, expected[key]}),
        *(f"{len(lane.open)} requests are open" for lane in found.lanes.values() if lane.open),
        *(f"{len(lane.calls)} calls are open" for lane in found.lanes.values() if lane.calls),
        *_totals_differ(totals, {r.key.decode(): r.value for r in await committed(rig, topics.COST_TOTALS)}),
        *[p async for p in _positions_differ(rig, found)],
    ]


async def committed(rig: Rig, topic: str) -> list[ConsumerRecord]:
    """Every committed record of a topic, partition by partition."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=rig.stack.bootstrap_servers,
        isolation_level="read_committed",
        enable_auto_commit=False,
        max_partition_fetch_bytes=8_000_000,
    )
    await consumer.start()
    try:
        partitions = [TopicPartition(topic, p) for p in range(rig.stack.settings.partitions)]
        consumer.assign(partitions)
        await consumer.seek_to_beginning(*partitions)
        ends = await consumer.end_offsets(partitions)
        records: list[ConsumerRecord] = []
        give_up_s = time.monotonic() + 30
        while any([await consumer.position(tp) < end for tp, end in ends.items()]):
            if time.monotonic() > give_up_s:
                raise TimeoutError(f"{topic} could not be read to its end within 30 s")
            for batch in (await consumer.getmany(timeout_ms=200)).values():
                records += batch
        return records
    finally:
        await consumer.stop()


def _said(finished: Mapping[str, Finished], key: str) -> tuple[str, datetime] | None:
    state = finished.get(key)
    return None if state is None else (state.status, state.finished_at)


def _lost(found: Iterable[str], expected: Iterable[str]) -> Iterator[str]:
    if lost := set(expected) - set(found):
        yield f"{len(lost)} answered requests are not in the changelog, {min(lost)} for one"


def _totals_differ(folded: dict[str, CostTotal], published: dict[str, bytes]) -> Iterator[str]:
    decode = SERDE.of(CostTotal).decode
    wrong = [key for key in folded.keys() | published.keys() if key not in published or folded.get(key) != decode(published[key])]
    if wrong:
        yield f"{len(wrong)} totals of the changelog are not those of {topics.COST_TOTALS}, {min(wrong)} for one"


async def _positions_differ(rig: Rig, found: Replay) -> AsyncIterator[str]:
    for topic in (topics.ROUTED, topics.ATTEMPTS):
        last = {record.partition: record.offset + 1 for record in await committed(rig, topic)}
        for partition, lane in found.lanes.items():
            if (read := lane.positions.get(topic)) != last.get(partition):
                yield f"{topic}-{partition} was read to {read}, its last record is before {last.get(partition)}"
