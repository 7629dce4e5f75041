"""The two ways our agents consume: everything that has arrived at once, or one task for each event.

Both acknowledge after the agent's function returned, and only then. A function that raises ends the process: what it was given is
not acknowledged and comes again after the restart. Agents therefore never raise on bad input; they put it aside as a dead letter.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from streams.faust_host.delivered import Delivered
from streams.faust_host.stream import queue_of, taken

HandleBatch = Callable[[Sequence[Delivered]], Awaitable[None]]
HandleOne = Callable[[Delivered], Awaitable[None]]


async def batches(stream: Any, handle: HandleBatch, *, max_records: int = 256) -> None:
    """Give `handle` whatever has arrived, at most `max_records`, without waiting for more; the next batch forms meanwhile.

    Ends when the agent is stopped.
    """
    queue = queue_of(stream)
    while True:
        try:
            events = [await queue.get()]
        except StopAsyncIteration:  # how Faust stops an agent that waits
            return
        while len(events) < max_records and not queue.empty():
            events.append(queue.get_nowait())
        batch = [Delivered(event) for event in events if taken(event)]
        if batch:
            await handle(batch)
            for record in batch:
                record.ack()


async def each(stream: Any, handle: HandleOne, *, concurrency: int) -> None:
    """Run `handle` for every event in a task of its own, at most `concurrency` at a time.

    Over the bound nothing more is taken: the agent's queue fills, its partitions are paused at 80 % of it and go on below 40 %,
    so a backlog waits in Kafka. A bound for each deployment belongs into `handle` (an `asyncio.Semaphore` by name). An event that
    waits there counts as running, so `concurrency` should exceed any one of those bounds by far.

    When one `handle` raises, the others are cancelled and this raises the ExceptionGroup. When the agent is stopped, those still
    running are cancelled too; a handle may catch that to report what it was doing, and must raise it again.
    """
    queue = queue_of(stream)
    free = asyncio.Semaphore(concurrency)

    async def run(record: Delivered) -> None:
        try:
            await handle(record)
            record.ack()
        finally:
            free.release()

    async with asyncio.TaskGroup() as tasks:
        while True:
            await free.acquire()
            try:
                event = await queue.get()
            except StopAsyncIteration:
                return  # how Faust stops an agent that waits; it cancels this task next, and the group cancels its own
            if taken(event):
                tasks.create_task(run(Delivered(event)))
            else:
                free.release()
