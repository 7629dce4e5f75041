"""How long an answer may be kept."""

from schemas.deployments import CacheTtl
from schemas.requests import CacheMode, InferenceRequest


def ttl_s(request: InferenceRequest, task_kind: str, rules: CacheTtl, *, default_s: int) -> int | None:
    """How long, in seconds, the answer may be kept; None: it must not be kept.

    The sender's own wish comes first, then the rule of the model, for with it all its answers change; then that of the task kind.

    >>> ttl_s(InferenceRequest("r", "t", "m"), "chat", CacheTtl(by_task_kind={"chat": 300}), default_s=3_600)
    300
    """
    if request.cache.mode is CacheMode.OFF:
        return None
    wanted = request.cache.ttl_s or rules.by_model.get(request.model) or rules.by_task_kind.get(task_kind)
    return wanted or rules.default_s or default_s
