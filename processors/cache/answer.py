"""Which answers may be kept, and what a kept answer says to a later request."""

from datetime import datetime, timedelta

from schemas.calls import Output
from schemas.outcomes import CacheState, InferenceResponse, ResponseStatus
from schemas.requests import Operation
from schemas.routing import CachedAnswer

_COMPLETE = frozenset({"stop", "tool_calls"})
_WITHOUT_FINISH_REASON = frozenset({Operation.EMBEDDINGS, Operation.CLASSIFICATION, Operation.ML})


def may_store(response: InferenceResponse) -> bool:
    """Whether the answer may serve later requests: a final, successful, complete one of a provider, with a key to keep it under.

    Not an answer cut off (`length`), filtered or refused, nor one whose end the provider named in a word of its own: what
    is not known to be complete is not. Nor one that came from the cache: that would keep it alive for ever.
    """
    output = response.output
    return (
        response.final
        and response.status is ResponseStatus.OK
        and response.cache is CacheState.MISS
        and response.cache_key is not None
        and response.cache_ttl_s is not None
        and response.cache_ttl_s > 0
        and response.deployment is not None
        and output is not None
        and output.refusal is None
        and _complete(output, response.operation)
    )


def _complete(output: Output, operation: Operation) -> bool:
    if operation in _WITHOUT_FINISH_REASON:
        return bool(output.embeddings or output.label or output.data_json)
    return output.finish_reason in _COMPLETE and bool(output.content or output.tool_calls)


def recall(kept: InferenceResponse, *, tenant: str, cache_key: str, model: str | None, now: datetime) -> CachedAnswer | None:
    """What a kept answer says to a request of this tenant and key; None when it is not its answer, or too old.

    `model` is that of the deployment that answered, if it still stands in the catalogue: totals are kept by it.
    """
    if kept.tenant != tenant or kept.cache_key != cache_key or not may_store(kept):
        return None
    if kept.output is None or kept.deployment is None or kept.cache_ttl_s is None:
        return None  # `may_store` said so; here for the types alone
    if now >= kept.answered_at + timedelta(seconds=kept.cache_ttl_s):
        return None
    return CachedAnswer(
        output=kept.output,
        provider=kept.provider or "",
        deployment=kept.deployment,
        model=model or kept.response_model or kept.request_model,
        stored_at=kept.answered_at,
        usage=kept.usage,
        cost_nanousd=kept.cost_nanousd,
        request_id=kept.request_id,
    )
