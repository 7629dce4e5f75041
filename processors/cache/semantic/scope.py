"""Which requests may answer each other at all: everything but the wording of what was asked last is equal."""

import hashlib
from dataclasses import dataclass, replace

from processors.cache.key import identify
from processors.cache.semantic.question import MAX_CHARACTERS
from schemas.requests import CacheMode, InferenceRequest, Operation

_OPERATIONS = frozenset({Operation.CHAT})


@dataclass(frozen=True, slots=True)
class Scoped:
    """`scope` has 32 bytes: tenant, operation, model, providers, system prompt, earlier turns, tools, format, parameters."""

    scope: bytes
    text: str


def scoped(request: InferenceRequest) -> Scoped | None:
    """The scope and the wording of a request; None when only the same wording may answer it.

    Asked for at temperature 0: whoever wants variety wants no answer of another. The last message is the user's and plain
    text, and short enough to compare. The scope is the exact cache key of the request with its last text left out, so what
    parts two requests for the exact cache parts them here.
    """
    if request.operation not in _OPERATIONS or request.sampling.temperature != 0 or not request.messages:
        return None
    last = request.messages[-1]
    if last.role != "user" or not last.content or last.parts or last.tool_calls or len(last.content) > MAX_CHARACTERS:
        return None
    without = replace(request, messages=(*request.messages[:-1], replace(last, content="")))
    key = identify(without).cache_key
    if request.cache.mode is CacheMode.OFF or key is None:
        return None
    return Scoped(hashlib.sha256(b"penstock-scope/1" + key.encode()).digest(), last.content)
