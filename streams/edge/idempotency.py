"""Idempotency-Key: a request that comes again with its key is asked once, whichever process of the edge it comes to.

After the IETF's draft-ietf-httpapi-idempotency-key-header: the first answer again, 409 while there is none, 422 for another body.

1. A key belongs to its tenant. The first claim of it in ai.idempotency that has not expired holds, for 24 hours.
2. Nothing is published before a claim was read back from the log: whoever reads another's first has lost, and publishes nothing.
3. The request of a claim is published under the claim's id, by whoever has it in hand while none stands in the log. Twice is
   harmless: the dispatcher calls once for an id.
4. What a request that stands in the log came to is told by the log.
"""

import asyncio
import contextlib
import hashlib
from collections import OrderedDict
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import structlog
from aiokafka.errors import KafkaError

from processors.api.refusals import RETRY_AFTER_S, Refusal
from schemas.errors import RecordError
from schemas.idempotency import IdempotencyClaim
from schemas.requests import InferenceRequest
from schemas.serde import Codec
from streams import clock, topics
from streams.edge.principal import Refused
from streams.follower import Follower
from streams.publisher import Outgoing
from streams.runtime import Runtime

log = structlog.get_logger(__name__)

HEADER = "idempotency-key"
HOLDS_FOR = timedelta(hours=24)
MAX_KEY_CHARS = 256
CLAIMED_WITHIN_S = 10.0


class Claims:
    """All claims that hold, in every process of the edge: a claim takes about half a kilobyte of memory for its 24 hours."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._codec = runtime.serde.of(IdempotencyClaim)
        self._held: OrderedDict[bytes, IdempotencyClaim] = OrderedDict()
        self._waiting: dict[bytes, list[asyncio.Future[IdempotencyClaim]]] = {}
        self._follower = Follower(
            runtime,
            "claims",
            {topics.IDEMPOTENCY: HOLDS_FOR.total_seconds() + 3_600},
            self._apply,
            started_over=self._held.clear,
            gather_ms=None,
        )

    @contextlib.asynccontextmanager
    async def following(self) -> AsyncIterator["Claims"]:
        """Follow in the background; in the body all claims are known that stood in the topic at the start."""
        async with self._follower.following():
            yield self

    def of(self, tenant: str, key: str) -> IdempotencyClaim | None:
        """The claim that holds for a tenant's key, as far as this process has read."""
        claim = self._held.get(_digest(tenant, key))
        return claim if claim is not None and claim.expires_at > clock.now() else None

    async def claim(self, tenant: str, key: str, request_id: str, body_digest: bytes) -> IdempotencyClaim:
        """The first claim in the log: the one made here if its `request_id` is this one. Raises Refused while Kafka is away."""
        now = clock.now()
        ours = IdempotencyClaim(request_id, tenant, body_digest, now, now + HOLDS_FOR)
        digest = _digest(tenant, key)
        first: asyncio.Future[IdempotencyClaim] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(digest, []).append(first)
        try:
            async with asyncio.timeout(CLAIMED_WITHIN_S):
                await self._runtime.publisher.send_all([Outgoing(topics.IDEMPOTENCY, digest.decode(), self._codec.encode(ours))])
                return await first
        except (KafkaError, TimeoutError) as error:
            log.warning("edge_claim_failed", error=type(error).__name__, next_step="check the broker")
            message = "the Idempotency-Key could not be claimed in time, and nothing was asked: send the same again"
            raise Refused(Refusal(503, "log_unavailable", message, retry_after_s=RETRY_AFTER_S)) from error
        finally:
            waiting = self._waiting[digest]
            waiting.remove(first)
            if not waiting:
                del self._waiting[digest]

    def _apply(self, record: Any) -> None:
        digest = record.key or b""
        try:
            claim = self._codec.decode(record.value)
        except RecordError as error:
            place = {"partition": record.partition, "offset": record.offset}
            log.warning("edge_unreadable_claim", **place, error=str(error), next_step="its request may be asked twice")
            return
        held = self._held.get(digest)
        if held is None or held.expires_at <= claim.made_at:
            self._held.pop(digest, None)
            held = self._held[digest] = claim
        self._drop_expired()
        # A reading that has begun anew meets claims again that have expired.
        waiting = self._waiting.get(digest, ()) if held.expires_at > clock.now() else ()
        for first in waiting:
            if not first.done():
                first.set_result(held)

    def _drop_expired(self) -> None:
        now = clock.now()
        while self._held and (oldest := next(iter(self._held.items())))[1].expires_at <= now:
            del self._held[oldest[0]]


def key_of(headers: Any) -> str | None:
    """The Idempotency-Key of a request; None without one. Raises Refused for one that cannot be."""
    key: str | None = headers.get(HEADER)
    if key is None:
        return None
    key = key.strip().strip('"')  # the draft has a quoted string, and most clients send it bare
    if not 0 < len(key) <= MAX_KEY_CHARS:
        raise Refused(Refusal(400, "invalid_request", f"the Idempotency-Key must have 1 to {MAX_KEY_CHARS} characters"))
    return key


def body_digest(codec: Codec[InferenceRequest], request: InferenceRequest) -> bytes:
    """What tells whether a request asks the same as another: all of it but its id and its deadline."""
    return hashlib.sha256(codec.encode(replace(request, request_id="", deadline=None))).digest()


def _digest(tenant: str, key: str) -> bytes:
    return hashlib.sha256(f"{len(tenant)}:{tenant}{key}".encode()).hexdigest().encode()
