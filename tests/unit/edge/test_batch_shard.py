"""A partition of ai.batches in the hands of one process: what is taken up, when, and what is not taken up twice."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError
from aiokafka.structs import TopicPartition

from schemas.batches import BatchCancel, BatchChanged, BatchState, BatchStatus
from streams import topics
from streams.edge import batch_shard
from streams.edge.batch_run import Means
from streams.edge.batch_shard import Shard
from tests.unit.edge.batch_log import Edge, MemoryAnswers, MemoryLedger, Pipeline, lines_of, river, state_in, until, uploaded
from tests.unit.edge.native_log import MemoryLog

PLACE = TopicPartition(topics.BATCHES, 0)


@dataclass(slots=True)
class Reader:
    """A consumer whose only partition is all of ai.batches in the log; `held` keeps so many of the last records back."""

    log: MemoryLog
    at: int = 0
    held: int = 0

    @property
    def there(self) -> list[Any]:
        lines = [replace(line, value=line.value or None) for line in self.log.of(topics.BATCHES)]  # type: ignore[arg-type]
        return lines[: len(lines) - self.held]

    async def seek_to_beginning(self, _: TopicPartition) -> None:
        self.at = 0

    async def end_offsets(self, _: Any) -> dict[TopicPartition, int]:
        return {PLACE: len(self.there)}

    async def position(self, _: TopicPartition) -> int:
        return self.at

    async def getmany(self, _: TopicPartition, *, timeout_ms: int) -> dict[TopicPartition, list[Any]]:
        await asyncio.sleep(0.001)
        found = self.there[self.at :]
        self.at += len(found)
        return {PLACE: found} if found else {}


@dataclass(slots=True)
class Stage:
    edge: Edge
    pipeline: Pipeline
    reader: Reader
    ledgers: list[MemoryLedger]

    @contextlib.asynccontextmanager
    async def owned(self) -> AsyncIterator["asyncio.Task[None]"]:
        """A process has the partition in the body."""
        means = Means(self.edge.runtime, self.edge.files, MemoryAnswers(self.edge.log))
        async with self.pipeline.running():
            task = asyncio.create_task(Shard(0, self.reader, means).run())
            try:
                yield task
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    async def until(self, batch_id: str, *statuses: BatchStatus) -> BatchState:
        await until(lambda: state_in(self.edge.log, batch_id).status in statuses)
        return state_in(self.edge.log, batch_id)


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    log = MemoryLog()
    pipeline = Pipeline(log, river)
    log.answers = pipeline.take
    made = Stage(Edge(log, batch_in_flight=4), pipeline, Reader(log), [])

    @contextlib.asynccontextmanager
    async def opened(*_: Any) -> AsyncIterator[MemoryLedger]:
        made.ledgers.append(MemoryLedger(log))
        yield made.ledgers[-1]

    monkeypatch.setattr(batch_shard, "open_ledger", opened)
    return made


async def test_batches_are_taken_up_as_they_come(stage: Stage) -> None:
    first = await uploaded(stage.edge, lines_of(5))
    async with stage.owned():
        await stage.until(first, BatchStatus.COMPLETED)
        second = await uploaded(stage.edge, lines_of(5))
        await stage.until(second, BatchStatus.COMPLETED)
    assert len(stage.ledgers) == 1


async def test_nobody_is_fenced_while_there_is_nothing_to_do(stage: Stage) -> None:
    batch_id = await uploaded(stage.edge, lines_of(2))
    async with stage.owned():
        await stage.until(batch_id, BatchStatus.COMPLETED)
    async with stage.owned():
        await asyncio.sleep(0.02)
    assert len(stage.ledgers) == 1


async def test_what_a_run_wrote_and_is_read_later_than_its_end_starts_nothing(stage: Stage) -> None:
    batch_id = await uploaded(stage.edge, lines_of(5))
    async with stage.owned():
        await stage.until(batch_id, BatchStatus.IN_PROGRESS, BatchStatus.COMPLETED)
        stage.reader.held = len(stage.edge.log.of(topics.BATCHES)) - stage.reader.at
        await stage.until(batch_id, BatchStatus.COMPLETED)
        written = len(stage.edge.log.of(topics.BATCHES))
        for held in range(written - stage.reader.at, -1, -1):
            stage.reader.held = held
            await asyncio.sleep(0.005)
    assert len(stage.edge.log.of(topics.BATCHES)) == written
    assert len(stage.pipeline.seen) == 5


async def test_a_batch_goes_on_where_another_process_left_it(stage: Stage) -> None:
    stage.pipeline.answer = lambda request: None
    batch_id = await uploaded(stage.edge, lines_of(9))
    async with stage.owned():
        await stage.until(batch_id, BatchStatus.IN_PROGRESS)
        await until(lambda: len(stage.pipeline.seen) == 4)
    stage.pipeline.answer = river
    stage.pipeline.seen.clear()
    async with stage.owned():
        state = await stage.until(batch_id, BatchStatus.COMPLETED)
    assert (state.completed, state.failed) == (9, 0)


async def test_a_wish_to_cancel_is_heard_before_and_after_its_batch_is_taken_up(stage: Stage) -> None:
    stage.pipeline.answer = lambda request: None
    running, waiting = await uploaded(stage.edge, lines_of(9)), await uploaded(stage.edge, lines_of(9))
    await wish(stage, waiting)
    async with stage.owned():
        assert (await stage.until(waiting, BatchStatus.CANCELLED)).total == 0
        await until(lambda: len(stage.pipeline.seen) == 4)
        await wish(stage, running)
        state = await stage.until(running, BatchStatus.CANCELLED)
    assert (state.total, state.completed, state.failed) == (9, 0, 9)
    assert len(stage.pipeline.seen) == 4


async def wish(stage: Stage, batch_id: str) -> None:
    record = BatchChanged(cancel=BatchCancel(batch_id, "acme", datetime.now(UTC)))
    stage.edge.log.put(topics.BATCHES, f"acme/{batch_id}/cancel", stage.edge.log.serde.encode(record))


async def test_so_many_batches_of_a_tenant_at_once(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_shard, "_AT_ONCE", 2)
    stage.pipeline.answer = lambda request: None
    made = [await uploaded(stage.edge, lines_of(1)) for _ in range(3)]
    other = await uploaded(stage.edge, lines_of(1), tenant="other")
    async with stage.owned():
        for batch_id in (*sorted(made)[:2], other):
            await stage.until(batch_id, BatchStatus.IN_PROGRESS)
        await asyncio.sleep(0.02)
        assert state_in(stage.edge.log, max(made)).status is BatchStatus.VALIDATING


async def test_trouble_with_kafka_ends_the_ownership_and_a_defect_the_batch(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch_id = await uploaded(stage.edge, lines_of(3) + b"bad\n")

    async def away(*_: Any) -> None:
        raise KafkaConnectionError

    with monkeypatch.context() as broken:
        broken.setattr(stage.edge.runtime.publisher, "send_all", away)
        async with stage.owned() as task:
            await asyncio.wait({task}, timeout=30)
            with pytest.raises(ExceptionGroup) as trouble:
                task.result()
    assert isinstance(trouble.value.exceptions[0], KafkaConnectionError)
    assert not state_in(stage.edge.log, batch_id).status.ended

    monkeypatch.setattr("processors.api.batch_output.bad", lambda *_: 1 // 0)
    async with stage.owned():
        state = await stage.until(batch_id, BatchStatus.FAILED)
    assert [each.code for each in state.problems] == ["internal_error"]
