"""A body of bytes that may only be read so often: what bounds the objects that a decoder makes of it."""

from collections.abc import Generator

from schemas.errors import MalformedRecord

READS_A_BYTE = 2
"""At most: an empty string is its length, one byte, and its text, none."""


class Bounded:
    """The bytes of `value` from `begin` on, as the file that a decoder wants; it may be read `most` times.

    The next read raises MalformedRecord. Every item of an array or a map takes one read at least, so this bounds them while
    they are made, whatever the schema. A generator serves the reads: it costs a quarter of what a method in Python does.
    """

    __slots__ = ("read",)

    def __init__(self, value: bytes, begin: int, most: int) -> None:
        pieces = _pieces(value, begin, most)
        next(pieces)
        self.read = pieces.send

    def left(self) -> int:
        """How many bytes have not been read; reads them."""
        return len(self.read(_ALL))


_ALL = 2**62


def _pieces(value: bytes, begin: int, most: int) -> Generator[bytes, int, None]:
    wanted = yield b""
    for _ in range(most):
        end = begin + wanted
        wanted = yield value[begin:end]
        begin = end
    raise MalformedRecord("too_large", f"the record holds too many parts: more than {most} pieces of text and numbers")
