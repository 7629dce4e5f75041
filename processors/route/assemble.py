"""The record that intake writes about a request: routed, answered from the cache, or rejected."""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta

from processors.cache import key as cache_key
from processors.cache.key import Identity
from processors.classify.decide import Classified
from processors.classify.validate import MAX_ID_CHARS
from processors.route.decide import POLICY, Routed, Unroutable
from schemas.outcomes import ErrorInfo
from schemas.requests import InferenceRequest
from schemas.routing import CachedAnswer, RequestRouted

LONGEST_DEADLINE = timedelta(days=7)
"""The log forgets after a week: a request that may wait longer would be promised what nobody can keep."""
UNKNOWN_TENANT = "unknown"


@dataclass(frozen=True, slots=True)
class Terms:
    """What holds for requests that say nothing themselves."""

    timeout_s: float
    cache_ttl_s: int


@dataclass(frozen=True, slots=True)
class Arrived:
    """A request as it arrived: its bytes, the record's timestamp, and the lane that it belongs to."""

    value: bytes
    received_at: datetime
    lane: str


def deadline_of(request: InferenceRequest | None, received_at: datetime, timeout_s: float) -> datetime:
    """When the final response is due: as the sender says, else `timeout_s` after the record's timestamp.

    Never before the record's timestamp nor a week after it. It does not depend on when the record is read: a redelivery
    must not give a request more time.
    """
    if request is None or request.deadline is None:
        return received_at + timedelta(seconds=timeout_s)
    return min(max(request.deadline, received_at), received_at + LONGEST_DEADLINE)


def routed(
    arrived: Arrived,
    classified: Classified,
    identity: Identity,
    decision: Routed | Unroutable | CachedAnswer,
    terms: Terms,
    *,
    now: datetime,
) -> RequestRouted:
    """The record of a valid request: with its candidates, its cached answer, or why no deployment can take it."""
    request = classified.request
    return RequestRouted(
        request_id=request.request_id,
        tenant=request.tenant,
        lane=arrived.lane,
        user=request.user,
        session=request.session,
        request=arrived.value,
        body_digest=identity.body_digest,
        operation=classified.operation,
        request_model=request.model,
        task_kind=classified.task_kind.value,
        complexity=classified.complexity.value,
        input_tokens_estimate=classified.input_tokens_estimate,
        stream=request.stream,
        candidates=decision.candidates if isinstance(decision, Routed) else (),
        policy=POLICY,
        cache_key=identity.cache_key,
        cache_ttl_s=cache_key.ttl_s(request, default_s=terms.cache_ttl_s),
        cached=decision if isinstance(decision, CachedAnswer) else None,
        rejection=ErrorInfo(decision.kind, decision.message, decision.retryable) if isinstance(decision, Unroutable) else None,
        received_at=arrived.received_at,
        routed_at=now,
        deadline=deadline_of(request, arrived.received_at, terms.timeout_s),
        metadata=request.metadata,
    )


def rejected(
    arrived: Arrived,
    error: ErrorInfo,
    terms: Terms,
    *,
    request_id: str,
    tenant: str,
    request: InferenceRequest | None,
    now: datetime,
) -> RequestRouted:
    """The record of a request that can never be processed, so that its sender gets an error as the final response.

    It carries neither the body nor the metadata: they may be what is wrong.
    """
    return RequestRouted(
        request_id=request_id,
        tenant=tenant,
        lane=arrived.lane,
        request=b"",
        body_digest=hashlib.sha256(arrived.value).digest(),
        request_model=request.model[:MAX_ID_CHARS] if request is not None else "",
        task_kind="other",
        complexity="low",
        input_tokens_estimate=0,
        policy=POLICY,
        rejection=error,
        received_at=arrived.received_at,
        routed_at=now,
        deadline=deadline_of(request, arrived.received_at, terms.timeout_s),
    )
