"""One reader for all batches: everybody is given everything from where he asked for it on, perhaps twice, never too little."""

import asyncio
import gc
from collections import defaultdict
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from aiokafka.structs import TopicPartition

from schemas.requests import InferenceRequest
from schemas.serde import Serde
from streams import topics
from streams.edge.batch_answers import BatchAnswers
from tests.unit.edge.batch_log import Edge
from tests.unit.edge.native_log import MemoryLog, final

SERDE = Serde()
PLACES = [TopicPartition(topics.RESPONSES, partition) for partition in (0, 1)]


@dataclass(slots=True)
class Reader:
    """A consumer of two partitions. A marker (None) takes an offset and is handed to nobody."""

    logs: dict[TopicPartition, list[Any]] = field(default_factory=lambda: {place: [] for place in PLACES})
    at: dict[TopicPartition, int] = field(default_factory=lambda: dict.fromkeys(PLACES, 0))

    def assignment(self) -> list[TopicPartition]:
        return PLACES

    def seek(self, place: TopicPartition, offset: int) -> None:
        self.at[place] = offset

    async def position(self, place: TopicPartition) -> int:
        return self.at[place]

    async def end_offsets(self, _: Any) -> dict[TopicPartition, int]:
        return {place: len(log) for place, log in self.logs.items()}

    async def getmany(self, *, timeout_ms: int) -> dict[TopicPartition, list[Any]]:
        found = {}
        for place, log in self.logs.items():
            records = [record for record in log[self.at[place] : self.at[place] + 2] if record is not None]
            self.at[place] = min(len(log), self.at[place] + 2)
            if records:
                found[place] = records
        return found

    def put(self, partition: int, request_id: str | None, tenant: str = "acme", **changes: Any) -> None:
        log = self.logs[PLACES[partition]]
        if request_id is None:
            log.append(None)
            return
        value = SERDE.encode(final(InferenceRequest(request_id, tenant, "auto"), **changes))
        record = SimpleNamespace(key=request_id.encode(), value=value, partition=partition, offset=len(log))
        log.append(record)


async def following(
    answers: BatchAnswers, reader: Reader, positions: dict[str, tuple[int, ...]], more: Any
) -> dict[str, list[int]]:
    """What each batch is given, when `more` comes after all are following."""
    given: dict[str, list[int]] = defaultdict(list)
    ready = asyncio.Event()

    async def follow(batch_id: str) -> None:
        async with answers.following(batch_id, "acme", positions[batch_id], lambda n, _: given[batch_id].append(n)):
            ready.set()
            await asyncio.sleep(60)

    tasks = []
    for batch_id in positions:
        tasks.append(asyncio.create_task(follow(batch_id)))
        ready.clear()
        await asyncio.sleep(0)
        for _ in range(20):
            await answers._step(reader)
        await asyncio.wait_for(ready.wait(), 1)
    more()
    for _ in range(20):
        await answers._step(reader)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return given


def answers_of() -> BatchAnswers:
    return BatchAnswers(SimpleNamespace(serde=SERDE))  # type: ignore[arg-type]


async def test_a_new_batch_is_given_what_comes_and_an_old_one_what_came_before() -> None:
    answers, reader = answers_of(), Reader()
    for n in range(5):
        reader.put(n % 2, f"batch_old-{n}")
        reader.put(n % 2, "req-1")
    reader.put(0, None)

    def more() -> None:
        reader.put(0, "batch_new-1")
        reader.put(1, "batch_old-9")
        reader.put(1, "batch_unknown-1")

    given = await following(answers, reader, {"batch_new": (), "batch_old": (2, 0)}, more)
    assert set(given["batch_new"]) == {1}
    assert set(given["batch_old"]) == {1, 2, 3, 4, 9}
    assert answers.positions == (len(reader.logs[PLACES[0]]), len(reader.logs[PLACES[1]]))


async def test_only_final_answers_of_the_batchs_tenant_count() -> None:
    answers, reader = answers_of(), Reader()

    def more() -> None:
        reader.put(0, "batch_a-1", tenant="other")
        reader.put(0, "batch_a-2", final=False)
        reader.put(0, "batch_a-x")
        reader.put(1, "batch_a-3")
        reader.logs[PLACES[1]][-1].key = b"batch_a-4"
        reader.put(1, "batch_a-5")
        reader.logs[PLACES[1]].append(SimpleNamespace(key=b"batch_a-6", value=b"junk", partition=1, offset=2))

    assert await following(answers, reader, {"batch_a": ()}, more) == {"batch_a": [5]}


async def test_positions_never_run_ahead_of_what_was_handed_over_and_nobody_begins_before_all_was() -> None:
    answers, reader = answers_of(), Reader()
    for n in range(6):
        reader.put(0, f"batch_a-{n}")
    seen: list[tuple[int, tuple[int, ...]]] = []
    begun_after: list[int] = []

    async def follow() -> None:
        async with answers.following("batch_a", "acme", (0, 0), lambda n, _: seen.append((n, answers.positions))):
            begun_after.append(len(seen))
            await asyncio.sleep(60)

    task = asyncio.create_task(follow())
    await asyncio.sleep(0)
    for _ in range(6):
        await answers._step(reader)
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert [number for number, _ in seen] == list(range(6))
    assert all(positions[0] <= number for number, positions in seen)
    assert begun_after == [6]


async def test_a_reader_that_nobody_has_needed_leaves_nothing_open() -> None:
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    task = asyncio.create_task(BatchAnswers(Edge(MemoryLog(), bootstrap_servers="127.0.0.1:1").runtime).read())
    await asyncio.sleep(0)
    task.cancel()
    assert [type(each) for each in await asyncio.gather(task, return_exceptions=True)] == [asyncio.CancelledError]
    del task
    gc.collect()
    assert complaints == []
