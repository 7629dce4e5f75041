"""The wire shapes of the providers: each module reads requests of one shape and writes its replies. No I/O here."""

from collections.abc import Mapping
from typing import Any, Protocol

from streams.simulator.answers import Answer
from streams.simulator.ask import Ask
from streams.simulator.endpoints import Endpoint, Shape
from streams.simulator.reply import Part
from streams.simulator.shapes import anthropic, google, ollama, openai
from streams.simulator.shapes.stamp import Stamp
from streams.simulator.tokens import Usage


class Wire(Protocol):
    """What a shape module offers. `told` is the usage that the reply says, None to say none."""

    def read(self, endpoint: Endpoint, body: Mapping[str, Any]) -> Ask:
        """The request, its sizes and seed left out. Raises BadRequest."""

    def whole(self, endpoint: Endpoint, ask: Ask, answer: Answer, told: Usage | None, stamp: Stamp) -> bytes:
        """The body of a reply that is not streamed."""

    def events(self, endpoint: Endpoint, ask: Ask, answer: Answer, told: Usage | None, stamp: Stamp, *, count: int) -> list[Part]:
        """The events of a streamed reply, with the content in at most `count` of them; the last one ends the stream."""

    def stream_type(self, ask: Ask) -> str:
        """The Content-Type of a stream."""

    def vectors(self, endpoint: Endpoint, ask: Ask, told: Usage | None, stamp: Stamp) -> bytes:
        """The body of an embedding reply."""

    def token_count(self, tokens: int) -> bytes:
        """The body of a reply to a request to count tokens."""

    def models(self) -> bytes:
        """The body of a list of models."""

    def error(self, status: int, message: str, *, provider: str, code: str | None = None) -> bytes:
        """The body of an error reply. `code` names a special error: `context_too_long`."""

    def error_event(self, message: str) -> bytes:
        """An error in the middle of a stream."""

    def id_header(self, stamp: Stamp) -> tuple[str, str]:
        """The header that carries the provider's own name of the request."""


WIRES: Mapping[Shape, Wire] = {
    Shape.OPENAI: openai,
    Shape.ANTHROPIC: anthropic,
    Shape.GOOGLE: google,
    Shape.OLLAMA: ollama,
}
