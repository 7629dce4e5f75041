"""The lines of a file that comes in pieces, each of a bounded length."""

from collections.abc import Iterator

MAX_LINE_BYTES = 4_000_000
"""Above the largest record, which says more exactly what is too large."""


class Splitter:
    """Takes the bytes in any pieces. A line that is too long comes as None, and none of it is held."""

    def __init__(self, most: int = MAX_LINE_BYTES) -> None:
        self._most = most
        self._parts: list[bytes] = []
        self._size = 0
        self._begun = False

    def feed(self, data: bytes) -> Iterator[bytes | None]:
        r"""The lines that end in `data`, without their ends.

        >>> splitter = Splitter(5)
        >>> list(splitter.feed(b"ab\ncd")), list(splitter.feed(b"e\n1234567\n")), list(splitter.end())
        ([b'ab'], [b'cde', None], [])
        """
        if not self._begun and data:
            self._begun = True
            data = data.removeprefix(b"\xef\xbb\xbf")
        *ended, rest = data.split(b"\n")
        for piece in ended:
            self._add(piece)
            yield self._take()
        self._add(rest)

    def end(self) -> Iterator[bytes | None]:
        """The last line, if the file does not end with a line's end."""
        if self._size:
            yield self._take()

    def _add(self, piece: bytes) -> None:
        self._size += len(piece)
        if self._size > self._most:
            self._parts.clear()
        elif piece:
            self._parts.append(piece)

    def _take(self) -> bytes | None:
        line = None if self._size > self._most else b"".join(self._parts)
        self._parts, self._size = [], 0
        return line
