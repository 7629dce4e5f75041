"""What is told live over WebSockets: each record once a process, as one message, to those whose it is."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import structlog

from processors.api.native_events import chunk_told
from schemas.calls import CallPhase, CallReported
from schemas.errors import RecordError
from schemas.health import HealthEvent
from schemas.ledger import CostEvent
from schemas.outcomes import InferenceResponse, ResponseChunk
from schemas.serde import Codec
from streams import topics
from streams.decoding import dumps
from streams.follower import Follower
from streams.runtime import Runtime

log = structlog.get_logger(__name__)

QUEUED = 1_000
"""Messages that wait for a client; with one more it is too slow."""
_FOLLOWED = {
    topics.ATTEMPTS: CallReported,
    topics.CHUNKS: ResponseChunk,
    topics.RESPONSES: InferenceResponse,
    topics.COSTS: CostEvent,
    topics.HEALTH: HealthEvent,
}


@dataclass(slots=True, eq=False)
class Listener:
    """One client: what its tenant's requests do, or one of them alone."""

    tenant: str
    request_id: str | None = None
    messages: asyncio.Queue[str] = field(default_factory=lambda: asyncio.Queue(QUEUED))
    too_slow: asyncio.Event = field(default_factory=asyncio.Event)

    def tell(self, message: str) -> None:
        try:
            self.messages.put_nowait(message)
        except asyncio.QueueFull:
            self.too_slow.set()


class Feed:
    """Follows the log while anybody listens, and not a moment longer."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._codecs: dict[str, Codec[Any]] = {topic: runtime.serde.of(record) for topic, record in _FOLLOWED.items()}
        self._listeners: set[Listener] = set()
        self._failing: dict[str, str | None] = {}
        self._turn = asyncio.Lock()
        self._following = contextlib.AsyncExitStack()

    @contextlib.asynccontextmanager
    async def listening(self, listener: Listener) -> AsyncIterator[None]:
        """In the body the listener is told all that is written."""
        async with self._turn:
            if not self._listeners:
                await self._following.enter_async_context(self._follower().following())
            self._listeners.add(listener)
        try:
            yield
        finally:
            async with self._turn:
                self._listeners.discard(listener)
                if not self._listeners:
                    await self._following.aclose()

    def _follower(self) -> Follower:
        back_s: dict[str, float | None] = dict.fromkeys(_FOLLOWED, 0.0)
        return Follower(self._runtime, "feed", back_s, self._apply, started_over=self._failing.clear, gather_ms=None)

    def _apply(self, record: Any) -> None:
        if record.topic == topics.HEALTH:
            listeners = list(self._listeners)
        else:
            listeners = [each for each in self._listeners if record.value and each.tenant.encode() in record.value]
        if not listeners:
            return
        try:
            found = self._codecs[record.topic].decode(record.value)
        except RecordError as error:
            place = {"topic": record.topic, "partition": record.partition, "offset": record.offset}
            log.warning("edge_unreadable_record", **place, error=str(error), next_step="it is not told")
            return
        event = self._health(found) if isinstance(found, HealthEvent) else told(found)
        if event is None:
            return
        message = dumps(event).decode().rstrip("\n")
        for listener in listeners:
            if isinstance(found, HealthEvent) or _is_for(listener, found):
                listener.tell(message)

    def _health(self, found: HealthEvent) -> dict[str, Any] | None:
        """A deployment's health when it changes: single calls are nobody else's to see."""
        failing = found.failure_kind
        if found.deployment in self._failing and self._failing[found.deployment] == failing:
            return None
        self._failing[found.deployment] = failing
        head = {"type": "health", "deployment": found.deployment, "provider": found.provider, "model": found.model}
        return {**head, "healthy": failing is None, "failure_kind": failing, "at": found.observed_at}


def told(found: CallReported | ResponseChunk | InferenceResponse | CostEvent) -> dict[str, Any] | None:
    """The message of a record; None for one that nobody is told. An answer's text is read at `/v1/requests/{id}`."""
    match found:
        case CallReported():
            if found.phase is not CallPhase.STARTED:
                return None
            return {"type": "task_started", **_some(found, _STARTED)}
        case ResponseChunk():
            return {"type": "chunk", **chunk_told(found)}
        case InferenceResponse():
            return {"type": "task_completed", **_some(found, _COMPLETED)} if found.final else None
        case CostEvent():
            return {"type": "cost", **_some(found, _COST)}


_STARTED = ("request_id", "call_id", "attempt", "provider", "deployment", "model", "started_at")
_COMPLETED = (
    "request_id",
    "status",
    "provider",
    "deployment",
    "attempts",
    "cache",
    "usage",
    "cost_nanousd",
    "error",
    "received_at",
    "answered_at",
)
_COST = (
    "request_id",
    "event_id",
    "kind",
    "call_id",
    "provider",
    "deployment",
    "model",
    "usage",
    "cost_nanousd",
    "avoided_nanousd",
    "estimated",
    "wasted",
    "occurred_at",
)


def _some(found: Any, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: getattr(found, name) for name in names}


def _is_for(listener: Listener, found: Any) -> bool:
    return listener.tenant == found.tenant and listener.request_id in {None, found.request_id}
