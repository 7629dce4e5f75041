"""Server-sent events, as bytes."""

from collections.abc import Iterator
from typing import Any, Protocol

import orjson

from processors.api.refusals import Refusal
from schemas.outcomes import InferenceResponse


def sse(data: dict[str, Any], name: str | None = None) -> bytes:
    r"""One event; without a name unless one is given.

    >>> sse({"a": 1}, "ping")
    b'event: ping\ndata: {"a":1}\n\n'
    """
    head = b"" if name is None else b"event: " + name.encode() + b"\n"
    return head + b"data: " + orjson.dumps(data) + b"\n\n"


class Stream(Protocol):
    """The events of one streamed answer in a client's shape. Each method gives the bytes to send, empty for none.

    The pieces are those of one text: what is said twice, or taken back, was dealt with before.
    """

    def opening(self) -> bytes:
        """What comes before all else."""

    def reasoning(self, content: str) -> bytes:
        """A piece of what the model thought."""

    def text(self, content: str) -> bytes:
        """A piece of what it says."""

    def refusal(self, content: str) -> bytes:
        """A piece of why it will not answer."""

    def tool_deltas(self, deltas: list[dict[str, Any]]) -> bytes:
        """Pieces of tool calls in OpenAI's shape, each with its `index`."""

    def closing(self, response: InferenceResponse) -> Iterator[bytes]:
        """The end, of which `response` tells usage and finish reason."""

    def failing(self, refusal: Refusal) -> bytes:
        """The end of a stream that has begun and cannot be finished."""
