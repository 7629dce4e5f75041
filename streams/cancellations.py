"""Which requests their senders have cancelled: a follower of ai.cancellations, whole in every process that asks."""

import contextlib
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from typing import Any

import structlog

from schemas.cancellation import CancelRequested
from schemas.errors import RecordError
from schemas.serde import Codec
from streams import topics
from streams.follower import Follower
from streams.publisher import Outgoing
from streams.runtime import Runtime

log = structlog.get_logger(__name__)

REMEMBERED = 100_000
"""The last so many; a cancellation that is forgotten came too long ago to matter, or does no harm."""
"""How long the broker holds a fetch while nothing comes: what comes is sent at once."""

OnCancelled = Callable[[str, str], None]
"""Is told tenant and request id."""


def cancellation(codec: Codec[CancelRequested], tenant: str, request_id: str, asked_at: datetime) -> Outgoing:
    """The record that cancels a request. One of a request that is answered, or that nobody knows, changes nothing."""
    return Outgoing(topics.CANCELLATIONS, f"{tenant}/{request_id}", codec.encode(CancelRequested(request_id, tenant, asked_at)))


class Cancellations:
    """What has been cancelled within a day."""

    def __init__(self, runtime: Runtime) -> None:
        self._codec = runtime.serde.of(CancelRequested)
        self._known: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._listeners: list[OnCancelled] = []
        self._follower = Follower(
            runtime,
            "cancellations",
            {topics.CANCELLATIONS: None},
            self._apply,
            started_over=lambda: None,  # what is told again is known
            gather_ms=None,
        )

    @contextlib.asynccontextmanager
    async def following(self) -> AsyncIterator["Cancellations"]:
        """Follow in the background, from the topic's beginning; the body does not wait for it."""
        async with self._follower.following(at_once=True):
            yield self

    def on_cancelled(self, listener: OnCancelled) -> None:
        """Tell the listener of every cancellation that this process reads from now on, once. It is called in the event loop."""
        self._listeners.append(listener)

    def include(self, tenant: str, request_id: str) -> bool:
        """Whether the sender has cancelled the request."""
        return (tenant, request_id) in self._known

    def _apply(self, record: Any) -> None:
        try:
            cancelled = self._codec.decode(record.value)
        except RecordError as error:
            log.warning("cancellation_unreadable", offset=record.offset, reason=error.reason, next_step="cancel it again")
            return
        key = (cancelled.tenant, cancelled.request_id)
        if key in self._known:
            return
        self._known[key] = None
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        for listener in self._listeners:
            listener(*key)
