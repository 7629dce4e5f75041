"""Faust's stream, with the acknowledgement moved: an event is done when its agent asks for the next one, and only then.

Stock Faust acknowledges in a `finally`, so that an exception or a cancellation inside the agent loses the event.
"""

import asyncio
import weakref
from collections.abc import AsyncGenerator
from typing import Any

from faust.exceptions import Skip
from faust.streams import Stream as FaustStream
from faust.streams import _current_event
from faust.types import ChannelT, EventT
from mode.utils.futures import maybe_async

_UNSAFE = "acknowledges its events even when the agent failed; use `batches` or `each` of streams.faust_host instead"


class Stream(FaustStream):
    """What `@app.agent` functions iterate over. The same on Faust's compiled and pure builds."""

    def __aiter__(self) -> AsyncGenerator[Any, None]:
        iterator = self._iterate()
        self._active_agens.add(iterator)
        return iterator

    async def _iterate(self) -> AsyncGenerator[Any, None]:
        self._finalized = True
        started_here = await self.maybe_start()
        try:
            while not self.should_stop:
                acks = self.enable_acks
                event, value = await self._receive()
                if event is not None and not taken(event):
                    continue
                self._set_event(event)
                skipped = False
                try:
                    for processor in self._processors:
                        value = await maybe_async(processor(value))
                    value = await self.on_merge(value)
                except Skip:
                    skipped = True
                if not skipped and (event is not None or value is not None):
                    self.events_total += 1
                    yield value
                self.current_event = None
                if event is not None and (acks or skipped):
                    event.ack()
        except StopAsyncIteration:
            return
        finally:
            self._channel_stop_iteration(self.channel)
            if started_here:
                await self.stop()
                self.service_reset()

    async def _receive(self) -> tuple[EventT | None, Any]:
        found = await self.channel.__anext__()
        return (found, found.value) if isinstance(found, EventT) else (None, found)

    def _set_event(self, event: EventT | None) -> None:
        self.current_event = event
        _current_event.set(None if event is None else weakref.ref(event))

    def take(self, max_: int, within: Any) -> Any:
        raise NotImplementedError(f"Stream.take {_UNSAFE}")

    def take_events(self, max_: int, within: Any) -> Any:
        raise NotImplementedError(f"Stream.take_events {_UNSAFE}")

    def take_with_timestamp(self, max_: int, within: Any, timestamp_field_name: str) -> Any:
        raise NotImplementedError(f"Stream.take_with_timestamp {_UNSAFE}")


def taken(event: EventT) -> bool:
    """Note that an agent starts on the event. False when its delivery is void: the record comes again, here or elsewhere."""
    message = event.message
    book = getattr(message, "book", None)
    return book is None or book.start(message.offset, message)


def queue_of(stream: Any) -> asyncio.Queue[EventT]:
    """The queue behind an agent's stream. Raises TypeError for a stream over something that is not a channel."""
    if not isinstance(stream.channel, ChannelT):
        raise TypeError(f"{stream} does not read a topic: only an agent's own stream can be consumed in batches")
    queue: asyncio.Queue[EventT] = stream.channel.queue
    return queue
