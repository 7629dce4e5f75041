"""What a provider adapter takes and gives. A new provider implements `Adapter` and passes the shared contract tests."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from schemas.calls import CallOrdered, Failure, Output, Usage
from schemas.health import RateLimits
from schemas.requests import InferenceRequest

CALL_ID_HEADER = "x-penstock-call-id"
REQUEST_ID_HEADER = "x-penstock-request-id"


@dataclass(frozen=True, slots=True)
class ProviderCall:
    """One call to make. `on_connected` is told when a connection stands and the request is about to be written."""

    call_id: str
    order: CallOrdered
    request: InferenceRequest
    on_connected: Callable[[], None] | None = None

    @property
    def headers(self) -> dict[str, str]:
        """What marks the call at the provider. A request_id is the sender's: only what a header can carry goes into it."""
        request_id = self.order.request_id
        return {
            CALL_ID_HEADER: self.call_id,
            REQUEST_ID_HEADER: request_id if request_id.isascii() and request_id.isprintable() else "-",
        }


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of a streamed answer. `tool_calls_json` are deltas in OpenAI's shape; `usage` is the call's so far, not a part."""

    content: str | None = None
    reasoning: str | None = None
    tool_calls_json: str | None = None
    finish_reason: str | None = None
    usage: Usage | None = None


@dataclass(frozen=True, slots=True)
class Completion:
    """A whole answer. `usage` is None when the provider told none: it is then for the ledger to estimate.

    `limits`: what its headers said about the key's rate limits.
    """

    output: Output
    usage: Usage | None
    first_token_ms: int | None = None
    limits: RateLimits | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """No answer. `usage` is what the provider said it used all the same."""

    failure: Failure
    usage: Usage | None = None
    limits: RateLimits | None = None


OnChunk = Callable[[Chunk], None]


class Adapter(Protocol):
    """Speaks to one provider."""

    async def complete(self, call: ProviderCall, *, timeout_s: float, on_chunk: OnChunk | None = None) -> Completion | Failed:
        """Make the call: never twice, never longer than `timeout_s` as a whole.

        With `on_chunk` the answer is streamed where the operation allows, and is returned whole all the same.
        Expected trouble comes back as Failed; only cancellation is raised.
        """
        ...

    async def probe(self, *, timeout_s: float) -> RateLimits | Failure | None:
        """Ask whether the provider is there and takes the key: with a question that bills nothing and that no model answers.

        Gives the trouble, or what the reply's headers said about rate limits, which may be nothing.
        """
        ...

    async def close(self) -> None:
        """Close the connections; calls in flight fail."""
        ...
