"""Server-sent events and JSON lines, from pieces of bytes that may end anywhere.

https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
"""

from collections.abc import Iterator
from dataclasses import dataclass

import orjson

from schemas.errors import ProviderContractError

MAX_LINE_BYTES = 4 * 1024 * 1024
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Event:
    """One event, still bytes: JSON is decoded from UTF-8 as a whole, so that no character is ever split."""

    data: bytes
    name: str | None = None
    id: bytes | None = None


class Lines:
    """Splits at LF, CR LF or CR. Raises ProviderContractError when a line does not end within 4 MiB."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, piece: bytes) -> Iterator[bytes]:
        lines = (self._rest + piece).splitlines(keepends=True)
        # A CR at the end may be half of a CR LF.
        self._rest = lines.pop() if lines and not lines[-1].endswith(b"\n") else b""
        if len(self._rest) > MAX_LINE_BYTES:
            raise ProviderContractError(f"a line of the stream is longer than {MAX_LINE_BYTES} bytes")
        for line in lines:
            yield line.rstrip(b"\r\n")

    def end(self) -> Iterator[bytes]:
        """What stood last without a line end."""
        rest, self._rest = self._rest, b""
        if rest:
            yield rest.rstrip(b"\r")


class JsonLines(Lines):
    """Lines of JSON. One that the stream breaks off in is never told."""

    def end(self) -> Iterator[bytes]:
        """The last line, when it is whole without a line end."""
        return (line for line in super().end() if _whole(line))


class Events:
    """Server-sent events. An event that the stream breaks off in is never told."""

    def __init__(self) -> None:
        self._lines = Lines()
        self._data: list[bytes] = []
        self._name: str | None = None
        self._id: bytes | None = None
        self._first = True

    def feed(self, piece: bytes) -> Iterator[Event]:
        for line in self._lines.feed(piece):
            if self._first:
                self._first = False
                line = line.removeprefix(_BOM)  # noqa: PLW2901 - a byte order mark may stand before the first line only
            if line:
                self._take(line)
            elif self._data or self._name:
                yield Event(b"\n".join(self._data), self._name, self._id)
                self._data, self._name, self._id = [], None, None

    def end(self) -> Iterator[Event]:
        """The last event, when the stream ends without an empty line after it, as several servers' streams do."""
        for line in self._lines.end():
            if _whole(line.partition(b":")[2].strip()):
                self._take(line)
        if self._data:
            yield Event(b"\n".join(self._data), self._name, self._id)
            self._data = []

    def _take(self, line: bytes) -> None:
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            self._data.append(value)
        elif field == b"event":
            self._name = value.decode(errors="replace")
        elif field == b"id":
            self._id = value


def _whole(value: bytes) -> bool:
    """Whether a line without an end was meant to end there: its JSON is complete."""
    try:
        orjson.loads(value)
    except orjson.JSONDecodeError:
        return value == b"[DONE]"
    return True
