"""A request that its sender no longer wants: asked for by name, or by leaving."""

import asyncio
import contextlib
from collections.abc import Awaitable, Iterator, Mapping
from typing import Any, TypeVar

import structlog
from aiokafka.errors import KafkaError
from starlette.requests import Request

from processors.api.refusals import Refusal
from schemas.cancellation import CancelRequested
from schemas.requests import InferenceRequest
from streams import clock
from streams.cancellations import cancellation
from streams.edge.asking import PUBLISH_WITHIN_S, Asked
from streams.edge.principal import Refused
from streams.runtime import Runtime

log = structlog.get_logger(__name__)
T = TypeVar("T")

ON_DISCONNECT = "x-penstock-on-disconnect"
"""`drain`, which is meant without it: the call goes on, is billed, and its answer stands in the log. Or `cancel`."""
_DRAIN, _CANCEL = "drain", "cancel"


class Cancelling:
    """Publishes cancellations."""

    def __init__(self, runtime: Runtime) -> None:
        self._publisher = runtime.publisher
        self._codec = runtime.serde.of(CancelRequested)
        self._leaving: set[asyncio.Task[None]] = set()

    async def cancel(self, tenant: str, request_id: str) -> None:
        """Return when the log has it. Raises KafkaError, TimeoutError."""
        async with asyncio.timeout(PUBLISH_WITHIN_S):
            await self._publisher.send_all([cancellation(self._codec, tenant, request_id, clock.now())])

    def _cancel_soon(self, request: InferenceRequest) -> None:
        """For a client that has left: nobody waits for it."""
        task = asyncio.create_task(self._cancel_if_possible(request), name=f"cancel {request.request_id}")
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)

    @contextlib.contextmanager
    def unless_answered(self, asked: Asked) -> Iterator[None]:
        """Cancel the request when the body is left before its final response has come."""
        try:
            yield
        finally:
            if not asked.waiting.answered:
                self._cancel_soon(asked.request)

    async def _cancel_if_possible(self, request: InferenceRequest) -> None:
        try:
            await self.cancel(request.tenant, request.request_id)
        except (KafkaError, TimeoutError) as error:
            told = {"request_id": request.request_id, "error": type(error).__name__}
            log.warning("request_not_cancelled", **told, next_step="its call goes on and is billed; check the broker")


def cancels_on_leaving(headers: Mapping[str, str]) -> bool:
    """Whether the client's leaving cancels its request. Raises Refused, 400, for a word that means nothing."""
    said = headers.get(ON_DISCONNECT, _DRAIN)
    if said not in {_DRAIN, _CANCEL}:
        raise Refused(Refusal(400, "invalid_request", f"`{ON_DISCONNECT}` must be {_DRAIN!r} or {_CANCEL!r}, not {said[:40]!r}"))
    return said == _CANCEL


async def unless_gone(http: Request, answer: Awaitable[T]) -> T:
    """What is awaited, unless the client leaves before. Raises Refused, 499, then, and whatever `answer` raises."""
    answering, gone = asyncio.ensure_future(answer), asyncio.ensure_future(_gone(http))
    try:
        await asyncio.wait({answering, gone}, return_when=asyncio.FIRST_COMPLETED)
        if answering.done():
            return answering.result()
        raise Refused(Refusal(499, "client_gone", "the client left, and its request is cancelled"))
    finally:
        for task in (answering, gone):
            task.cancel()
        await asyncio.gather(answering, gone, return_exceptions=True)


async def _gone(http: Any) -> None:
    while (await http.receive())["type"] != "http.disconnect":
        pass
