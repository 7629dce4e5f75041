"""A reply as data: what is to be written, in which steps, how it ends, and what it bills. Nothing is written here."""

from dataclasses import dataclass, replace
from enum import Enum

from streams.simulator.tokens import FREE, Usage


class Ending(Enum):
    COMPLETE = "complete"
    EARLY_EOF = "early_eof"  # the connection is closed in good order, before the body is whole
    RESET = "reset"  # the connection is reset
    SILENCE = "silence"  # nothing more comes, and the connection stays open


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of the body: one event of a stream, or the whole.

    `delay_s` passes before it is written. `apart`: never in one write with its neighbours.
    """

    data: bytes
    output_tokens: int = 0
    delay_s: float = 0.0
    apart: bool = False


@dataclass(frozen=True, slots=True)
class Reply:
    """`usage` is what the provider bills for the whole reply; of a stream it bills the output that was generated.

    `whole` is False when the body lacks something that a complete answer has, though HTTP may not notice.
    `declared_bytes` is the Content-Length when it is to be another than the length of the parts.
    """

    status: int
    content_type: str
    parts: tuple[Part, ...]
    streamed: bool = False
    headers: tuple[tuple[str, str], ...] = ()
    ending: Ending = Ending.COMPLETE
    usage: Usage = FREE
    whole: bool = True
    bytes_per_s: float | None = None
    declared_bytes: int | None = None

    @property
    def body(self) -> bytes:
        return b"".join(part.data for part in self.parts)

    def billed(self, sent_tokens: int) -> Usage:
        """What the call bills when the parts that were written carry `sent_tokens` tokens.

        A stream bills what was generated until it ended or the client left. Anything else was generated whole before its
        first byte, whether it was ever read or not.
        """
        if not self.streamed or self.ending is Ending.SILENCE:
            return self.usage
        return replace(self.usage, output_tokens=sent_tokens)


def plain(status: int, content_type: str, body: bytes) -> Reply:
    """A reply that is written at once and bills nothing."""
    return Reply(status, content_type, (Part(body),))
