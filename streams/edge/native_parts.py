"""The native interface of one process, put together: what it follows, and its routes."""

import contextlib
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass

from starlette.routing import BaseRoute

from streams.edge.cancel_path import CancelPath
from streams.edge.door import Door
from streams.edge.events import Events
from streams.edge.idempotency import Claims
from streams.edge.idempotency_asking import AskingOnce, under_its_claim
from streams.edge.lineage import Lineages
from streams.edge.lineage_log import LogReading
from streams.edge.mailbox import Mailbox
from streams.edge.native import REQUESTS, Native
from streams.edge.websocket import Sockets
from streams.edge.websocket_feed import Feed
from streams.runtime import Runtime

ASKED_ONCE = (
    REQUESTS,
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/embeddings",
    "/v1/responses",
    "/v1/messages",
)
"""Where a POST may carry an Idempotency-Key."""


@dataclass(frozen=True, slots=True)
class NativeParts:
    """`asking` is for the door; the routes come of the door that was made with it."""

    asking: AskingOnce
    _claims: Claims
    _lineages: Lineages
    _reading: LogReading

    def routes(self, door: Door, others: Iterable[BaseRoute]) -> list[BaseRoute]:
        """The native routes and the others', all of which ask once for an Idempotency-Key."""
        native = Native(door, self.asking, self._lineages, Events(door, self._lineages, self._reading)).routes()
        cancel = CancelPath(door, self._lineages).routes()
        asking = under_its_claim(door, self._claims, [*others, *native, *cancel], ASKED_ONCE)
        return [*asking, *Sockets(door, Feed(door.runtime)).routes()]


@contextlib.asynccontextmanager
async def open_native(runtime: Runtime, mailbox: Mailbox) -> AsyncIterator[NativeParts]:
    """In the body all claims are known that stood in the log at the start."""
    async with LogReading(runtime).open() as reading, Claims(runtime).following() as claims:
        lineages = Lineages(runtime, mailbox, reading)
        yield NativeParts(AskingOnce(runtime, mailbox, claims, lineages), claims, lineages, reading)
