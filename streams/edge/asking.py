"""Publishes a client's request and waits for what the log answers."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import structlog
from aiokafka.errors import KafkaError

from processors.api.refusals import RETRY_AFTER_S, Refusal, refusal_of
from processors.classify.validate import problems
from schemas.errors import MalformedRecord
from schemas.outcomes import ErrorInfo, InferenceResponse, ResponseStatus
from schemas.requests import InferenceRequest
from streams import clock, topics
from streams.edge.mailbox import Mailbox, Piece, Waiting
from streams.edge.principal import Refused
from streams.publisher import Outgoing
from streams.runtime import Runtime

log = structlog.get_logger(__name__)

PUBLISH_WITHIN_S = 5.0
GRACE_S = 2.0
"""How long after its deadline a request's `expired` answer may take."""
TIMEOUT_HEADER = "x-penstock-timeout"


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that stands in the log. `until_s` is the monotonic time after which nobody waits any longer."""

    request: InferenceRequest
    waiting: Waiting
    until_s: float

    async def final(self) -> InferenceResponse:
        """The final response. Raises Refused when the pipeline gives none in time."""
        try:
            async with asyncio.timeout(self.until_s - time.monotonic()):
                return await self.waiting.final()
        except TimeoutError:
            raise Refused(_unanswered(self.request)) from None

    async def pieces(self) -> AsyncIterator[Piece]:
        """Chunks as they come, the final response last. Raises Refused when there is none in time."""
        while True:
            try:
                async with asyncio.timeout(self.until_s - time.monotonic()):
                    piece = await self.waiting.pieces.get()
            except TimeoutError:
                raise Refused(_unanswered(self.request)) from None
            yield piece
            if isinstance(piece, InferenceResponse):
                return


class Asking:
    """What all faces of the edge ask with."""

    def __init__(self, runtime: Runtime, mailbox: Mailbox) -> None:
        self._runtime = runtime
        self._mailbox = mailbox
        self._codec = runtime.serde.of(InferenceRequest)

    def waiting(self, request: InferenceRequest) -> AbstractContextManager[Waiting]:
        return self._mailbox.waiting(request.tenant, request.request_id, chunks=request.stream)

    async def publish(self, request: InferenceRequest, waiting: Waiting, headers: Mapping[str, str]) -> Asked:
        """Publish; return when the broker has it. Raises Refused for a request that cannot be asked, or while Kafka is away."""
        if wrong := problems(request):
            raise Refused(Refusal(400, "invalid_request", "; ".join(wrong)))
        patience_s = _patience_s(headers, self._runtime.settings.request_timeout_s)
        request = replace(request, deadline=clock.now() + timedelta(seconds=patience_s))
        try:
            value = self._codec.encode(request)
        except MalformedRecord as error:
            raise Refused(Refusal(413, "request_too_large", str(error))) from error
        try:
            async with asyncio.timeout(PUBLISH_WITHIN_S):
                await self._runtime.publisher.send_all([Outgoing(topics.REQUESTS, request.tenant, value)])
        except (KafkaError, TimeoutError) as error:
            log.warning("edge_publish_failed", error=type(error).__name__, next_step="check the broker")
            message = "the log did not take the request in time; it may still be carried out: try again with an Idempotency-Key"
            raise Refused(Refusal(503, "log_unavailable", message, retry_after_s=RETRY_AFTER_S)) from error
        return Asked(request, waiting, time.monotonic() + patience_s + GRACE_S)


def answered(response: InferenceResponse) -> InferenceResponse:
    """The response, if it holds an answer. Raises Refused when it holds an error."""
    if response.status in {ResponseStatus.OK, ResponseStatus.FALLBACK}:
        return response
    raise Refused(
        refusal_of(response.error or ErrorInfo("server_error", "the request failed and nobody said why", retryable=True))
    )


def facts(response: InferenceResponse) -> dict[str, str]:
    """What we know beyond the client's own shape, as headers."""
    told: dict[str, Any] = {
        "x-penstock-provider": response.provider,
        "x-penstock-deployment": response.deployment,
        "x-penstock-attempts": response.attempts,
        "x-penstock-cache": response.cache.value,
        "x-penstock-cost-nanousd": response.cost_nanousd,
        "x-penstock-status": response.status.value,
    }
    return {name: str(value) for name, value in told.items() if value is not None}


def _patience_s(headers: Mapping[str, str], most_s: float) -> float:
    asked = headers.get(TIMEOUT_HEADER)
    if asked is None:
        return most_s
    try:
        seconds = float(asked)
    except ValueError:
        seconds = -1.0
    if not 0 < seconds <= most_s:
        raise Refused(Refusal(400, "invalid_request", f"`{TIMEOUT_HEADER}` must be seconds, above 0 and at most {most_s:g}"))
    return seconds


def _unanswered(request: InferenceRequest) -> Refusal:
    message = f"no answer came before the deadline; the request stands in the log as {request.tenant}/{request.request_id}"
    return Refusal(504, "expired", message, retry_after_s=RETRY_AFTER_S)
