"""Consumes what can be read at once; what must wait for the schema registry waits aside, and holds up nobody."""

import asyncio
from collections.abc import Sequence
from typing import Any

from streams.faust_host import Delivered
from streams.faust_host.consume import HandleBatch
from streams.faust_host.stream import queue_of, taken
from streams.newcomers import Newcomers

MOST_WAITING = 1_000
"""Records that wait aside in memory, each of a megabyte at most; with more, the rest waits in Kafka."""


async def known_first(stream: Any, handle: HandleBatch, newcomers: Newcomers, *, max_records: int) -> None:
    """As `batches`, but a record of a schema id that is not known yet is handled and acknowledged once the registry has answered.

    Those behind it go on meanwhile. A crash loses none: what waits is not acknowledged, and the committed offset stays before it.
    """
    queue = queue_of(stream)
    waiting: set[asyncio.Task[None]] = set()

    async def finish(records: Sequence[Delivered]) -> None:
        await handle(records)
        for record in records:
            record.ack()

    async def meet(record: Delivered) -> None:
        await newcomers.meet([record.value])
        await finish([record])

    async with asyncio.TaskGroup() as tasks:
        while True:
            while len(waiting) >= MOST_WAITING:
                await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            try:
                batch = await _arrived(queue, max_records)
            except StopAsyncIteration:
                return  # how Faust stops an agent that waits; it cancels this task next, and the group cancels its own
            known = []
            for record in batch:
                if newcomers.unmet(record.value) is None:
                    known.append(record)
                else:
                    task = tasks.create_task(meet(record))
                    waiting.add(task)
                    task.add_done_callback(waiting.discard)
            if known:
                await finish(known)


async def _arrived(queue: Any, max_records: int) -> list[Delivered]:
    """What has arrived, one record at least when none is stale."""
    events = [await queue.get()]
    while len(events) < max_records and not queue.empty():
        events.append(queue.get_nowait())
    return [Delivered(event) for event in events if taken(event)]
