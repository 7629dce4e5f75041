"""Which provider, shape and operation a request path means.

`/<provider>/<the provider's own path>` names the provider; without the prefix the shape's own provider is meant. Any
first segment that no provider's path begins with is a provider: an OpenAI-compatible server by that name.
"""

from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache


class Shape(StrEnum):
    OPENAI = "openai"
    ANTHROPIC = "anthropic"
    GOOGLE = "google"
    OLLAMA = "ollama"


class Operation(StrEnum):
    CHAT = "chat"
    TEXT_COMPLETION = "text_completion"
    EMBEDDINGS = "embeddings"
    COUNT_TOKENS = "count_tokens"
    MODELS = "models"

    @property
    def billed(self) -> bool:
        """Whether it is a call of a model, which the call log records."""
        return self not in {Operation.COUNT_TOKENS, Operation.MODELS}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """`model` and `stream` are set where the path says them. `batch`: many embeddings in one request."""

    provider: str
    shape: Shape
    operation: Operation
    model: str | None = None
    stream: bool | None = None
    batch: bool = False


_BEGINNINGS = frozenset({"v1", "v1beta", "v1alpha", "api", "chat", "completions", "embeddings", "models"})
_OPENAI = {
    "chat/completions": Operation.CHAT,
    "completions": Operation.TEXT_COMPLETION,
    "embeddings": Operation.EMBEDDINGS,
}
_ANTHROPIC = {"v1/messages": Operation.CHAT, "v1/messages/count_tokens": Operation.COUNT_TOKENS}
_OLLAMA = {
    "api/chat": Operation.CHAT,
    "api/generate": Operation.TEXT_COMPLETION,
    "api/embed": Operation.EMBEDDINGS,
}
_GOOGLE_VERSIONS = frozenset({"v1", "v1beta", "v1alpha"})
_GOOGLE = {
    "generateContent": (Operation.CHAT, False, False),
    "streamGenerateContent": (Operation.CHAT, True, False),
    "embedContent": (Operation.EMBEDDINGS, None, False),
    "batchEmbedContents": (Operation.EMBEDDINGS, None, True),
    "countTokens": (Operation.COUNT_TOKENS, None, False),
}


@lru_cache(maxsize=4096)
def resolve(method: str, path: str, owner: str | None = None) -> Endpoint | None:
    """The endpoint of a request, None when there is none. `owner` is the provider whose port it came through, if any.

    >>> resolve("POST", "/deepseek/v1/chat/completions").provider
    'deepseek'
    >>> resolve("POST", "/v1beta/models/gemini-2.5-flash:streamGenerateContent").model
    'gemini-2.5-flash'
    """
    first, _, rest = path.lstrip("/").partition("/")
    if first in _BEGINNINGS:
        provider, rest = owner, f"{first}/{rest}" if rest else first
    else:
        provider = owner or first
    if method == "POST":
        return _generating(provider, rest)
    return _listing(provider, rest) if method == "GET" else None


def _generating(provider: str | None, rest: str) -> Endpoint | None:
    if operation := _ANTHROPIC.get(rest):
        return Endpoint(provider or "anthropic", Shape.ANTHROPIC, operation)
    if operation := _OLLAMA.get(rest):
        return Endpoint(provider or "ollama", Shape.OLLAMA, operation)
    version, _, named = rest.partition("/models/")
    model, colon, verb = named.partition(":")
    if version in _GOOGLE_VERSIONS and model and colon and verb in _GOOGLE:
        operation, stream, batch = _GOOGLE[verb]
        return Endpoint(provider or "google", Shape.GOOGLE, operation, model, stream, batch)
    for ending, operation in _OPENAI.items():
        if rest == ending or (rest.endswith("/" + ending) and not rest.endswith("chat/" + ending)):
            default = "google" if rest.startswith("v1beta/openai/") else "openai"
            return Endpoint(provider or default, Shape.OPENAI, operation)
    return None


def _listing(provider: str | None, rest: str) -> Endpoint | None:
    if rest == "api/tags":
        return Endpoint(provider or "ollama", Shape.OLLAMA, Operation.MODELS)
    if rest == "v1beta/models" or (rest == "v1/models" and provider == "google"):
        return Endpoint(provider or "google", Shape.GOOGLE, Operation.MODELS)
    if rest == "v1/models" and provider == "anthropic":
        return Endpoint(provider, Shape.ANTHROPIC, Operation.MODELS)
    if rest == "models" or rest.endswith("/models"):
        default = "google" if rest.startswith("v1beta/openai/") else "openai"
        return Endpoint(provider or default, Shape.OPENAI, Operation.MODELS)
    return None
