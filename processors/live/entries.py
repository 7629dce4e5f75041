"""What is told of single requests and dead letters: no prompt, no answer, no raw bytes."""

from dataclasses import dataclass
from datetime import datetime
from sys import intern

from processors.health.recent import bucket_of
from processors.live.window import Mark
from schemas.outcomes import CacheState, DeadLetter, InferenceResponse, ResponseStatus

MESSAGE_CHARS = 500
_SERVED = frozenset({ResponseStatus.OK, ResponseStatus.FALLBACK})


@dataclass(frozen=True, slots=True)
class Answer:
    """One request that was answered."""

    n: int
    request_id: str
    tenant: str
    answered_at: datetime
    status: str
    operation: str
    model: str
    deployment: str | None
    task_kind: str
    latency_ms: int
    attempts: int
    cache: str
    input_tokens: int | None
    output_tokens: int | None
    cost_nanousd: int | None
    error: str | None


@dataclass(frozen=True, slots=True)
class Dead:
    """One dead letter, by where the record stands that could not be processed."""

    n: int
    topic: str
    partition: int
    offset: int
    stage: str
    reason: str
    message: str
    request_id: str | None
    tenant: str | None
    value_size: int
    seen_at: datetime


def answer_of(response: InferenceResponse, n: int) -> Answer:
    usage = response.usage
    return Answer(
        n=n,
        request_id=response.request_id,
        tenant=response.tenant,
        answered_at=response.answered_at,
        status=response.status.value,
        operation=response.operation.value,
        model=response.request_model,
        deployment=response.deployment,
        task_kind=response.task_kind,
        latency_ms=latency_ms(response),
        attempts=response.attempts,
        cache=response.cache.value,
        input_tokens=None if usage is None else usage.input_tokens,
        output_tokens=None if usage is None else usage.output_tokens,
        cost_nanousd=response.cost_nanousd,
        error=None if response.error is None else response.error.kind,
    )


def mark_of(response: InferenceResponse, now: datetime) -> Mark:
    """What an answer counts as. One that a faster clock has dated ahead counts now."""
    second = int(min(response.answered_at, now).timestamp())
    bucket = bucket_of(latency_ms(response)) if response.status in _SERVED else None
    return Mark(intern(response.tenant), second, bucket, response.cache is not CacheState.NONE, response.cache.served)


def dead_of(letter: DeadLetter, n: int) -> Dead:
    return Dead(
        n=n,
        topic=letter.topic,
        partition=letter.partition,
        offset=letter.offset,
        stage=letter.stage,
        reason=letter.reason,
        message=letter.message[:MESSAGE_CHARS],
        request_id=letter.request_id,
        tenant=letter.tenant,
        value_size=letter.value_size,
        seen_at=letter.seen_at,
    )


def latency_ms(response: InferenceResponse) -> int:
    """From the request's record to its answer, as the dispatcher has it."""
    return max(0, round((response.answered_at - response.received_at).total_seconds() * 1000))
