"""The record that intake writes about a request: routed, answered from the cache, or rejected."""

import hashlib
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from processors.cache.key import Identity, reads_cache
from processors.cache.ttl import ttl_s
from processors.classify.decide import CLASSIFIER, Classified
from processors.classify.validate import MAX_ID_CHARS
from processors.route.decide import Routed
from processors.route.plan import Chosen
from processors.route.refusal import Unroutable
from schemas.deployments import CacheTtl
from schemas.outcomes import ErrorInfo
from schemas.requests import InferenceRequest
from schemas.routing import CachedAnswer, RequestRouted

LONGEST_DEADLINE = timedelta(days=7)
"""The log forgets after a week: a request that may wait longer would be promised what nobody can keep."""
UNKNOWN_TENANT = "unknown"
NO_POLICY = "none@1"
"""Stands where no policy was asked: the request could not be processed at all."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What holds for requests that say nothing themselves. `single_flight`: identical open requests share one call."""

    timeout_s: float
    cache_ttl_s: int
    cache: CacheTtl = field(default_factory=CacheTtl)
    single_flight: bool = True


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
    chosen: Chosen,
    now: datetime,
) -> RequestRouted:
    """The record of a valid request: with its candidates, its cached answer, or why no deployment can take it.

    Only what may be answered from the cache shares a call with others: who wants an answer of their own gets one.
    """
    request = classified.request
    candidates = decision if isinstance(decision, Routed) else None
    shares = terms.single_flight and candidates is not None and reads_cache(request)
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
        task_confidence=classified.confidence,
        complexity=classified.complexity.value,
        language=classified.language,
        sensitivity=classified.sensitivity,
        classifier=CLASSIFIER,
        input_tokens_estimate=classified.input_tokens_estimate,
        stream=request.stream,
        candidates=() if candidates is None else candidates.candidates,
        policy=chosen.policy,
        arm=chosen.arm,
        scores=() if isinstance(decision, CachedAnswer) else decision.scores,
        flight_key=identity.cache_key if shares else None,
        hedge_after_ms=None if candidates is None else candidates.hedge_after_ms,
        fallback=None if candidates is None else candidates.fallback,
        cache_key=identity.cache_key,
        cache_ttl_s=ttl_s(request, classified.task_kind.value, terms.cache, default_s=terms.cache_ttl_s),
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
        policy=NO_POLICY,
        rejection=error,
        received_at=arrived.received_at,
        routed_at=now,
        deadline=deadline_of(request, arrived.received_at, terms.timeout_s),
    )
