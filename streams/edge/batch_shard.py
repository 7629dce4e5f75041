"""One partition of ai.batches: what stands in it, and the batches of it that this process carries out.

A batch is taken up when all has been read that stood there after an earlier owner was fenced: nothing of it can follow any more.
"""

import asyncio
from contextlib import AsyncExitStack
from datetime import datetime
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from schemas.batches import BatchChanged, BatchState
from schemas.errors import RecordError
from streams import topics
from streams.edge.batch_ledger import open_ledger
from streams.edge.batch_run import BatchRun, Means
from streams.edge.principal import Refused

log = structlog.get_logger(__name__)

_POLL_MS = 1_000
_AT_ONCE = 4
"""So many batches of one tenant are carried out at once; the others wait their turn."""


class Shard:
    """Run it in a task; cancel the task to hand the partition over. What is under way is found again in the log."""

    def __init__(self, partition: int, consumer: AIOKafkaConsumer, means: Means) -> None:
        self._place = TopicPartition(topics.BATCHES, partition)
        self._consumer: Any = consumer
        self._means = means
        self._codec = means.runtime.serde.of(BatchChanged)
        self._open: dict[str, BatchState] = {}
        self._cancelled: dict[str, datetime] = {}
        self._runs: dict[str, BatchRun] = {}
        self._over: set[str] = set()
        """What runs of ours have ended: their records may come here later than that."""
        self._turns: dict[str, asyncio.Semaphore] = {}

    async def run(self) -> None:
        """Until it is cancelled. Raises KafkaError, and Refused when the log cannot be read."""
        async with AsyncExitStack() as stack:
            await self._consumer.seek_to_beginning(self._place)
            await self._read_to_end()
            while not self._open:
                await self._read()
            ledger = await stack.enter_async_context(open_ledger(self._means.runtime, self._place.partition))
            await self._read_to_end()
            async with asyncio.TaskGroup() as tasks:
                while True:
                    for state in sorted(self._open.values(), key=lambda each: each.batch_id):
                        if state.batch_id not in self._runs:
                            run = self._runs[state.batch_id] = BatchRun(state, self._means, ledger)
                            tasks.create_task(self._carry_out(state, run), name=state.batch_id)
                    for batch_id, asked_at in self._cancelled.items():
                        if batch_id in self._runs:
                            self._runs[batch_id].cancel(asked_at)
                    await self._read()

    async def _carry_out(self, state: BatchState, run: BatchRun) -> None:
        async with self._turns.setdefault(state.tenant, asyncio.Semaphore(_AT_ONCE)):
            try:
                await run.run()
            except (KafkaError, Refused, TimeoutError):
                raise
            except Exception:
                log.exception("batch_given_up", batch_id=state.batch_id, next_step="this is a defect, report it")
                await run.give_up()
        self._over.add(state.batch_id)
        for known in (self._runs, self._open, self._cancelled):
            known.pop(state.batch_id, None)

    async def _read_to_end(self) -> None:
        end = (await self._consumer.end_offsets([self._place]))[self._place]
        while await self._consumer.position(self._place) < end:
            await self._read()

    async def _read(self) -> None:
        for records in (await self._consumer.getmany(self._place, timeout_ms=_POLL_MS)).values():
            for record in records:
                self._apply(record)

    def _apply(self, record: Any) -> None:
        if record.value is None:
            return
        try:
            changed = self._codec.decode(record.value)
        except RecordError as error:
            log.warning("batch_unreadable", offset=record.offset, error=str(error), next_step="it is not carried out")
            return
        if changed.cancel is not None and changed.cancel.batch_id not in self._over:
            self._cancelled.setdefault(changed.cancel.batch_id, changed.cancel.asked_at)
        state = changed.batch
        if state is None or state.batch_id in self._runs or state.batch_id in self._over:
            return  # it is a run of ours that wrote it
        if state.status.ended:
            self._open.pop(state.batch_id, None)
            self._cancelled.pop(state.batch_id, None)
        else:
            self._open[state.batch_id] = state
