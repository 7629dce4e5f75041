"""The body of an upload, `multipart/form-data` (RFC 7578), taken apart as it comes: no more is held than a boundary's length.

Pure: bytes in, pieces out.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from email.message import Message

from processors.api.bad_request import BadRequest

MAX_FIELD_BYTES = 65_536
_MAX_HEADER_BYTES = 16_384
_MAX_BOUNDARY_CHARS = 70


@dataclass(frozen=True, slots=True)
class Field:
    """A whole field that is no file."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class FileBegins:
    name: str
    filename: str


@dataclass(frozen=True, slots=True)
class FileData:
    """Bytes of the file that began last."""

    data: bytes


Piece = Field | FileBegins | FileData


def boundary_of(content_type: str) -> bytes:
    """What parts the body's fields. Raises BadRequest for a body of another type.

    >>> boundary_of('multipart/form-data; boundary="x y"')
    b'x y'
    """
    message = _headers(f"content-type: {content_type}")
    boundary = message.get_boundary()
    if message.get_content_type() != "multipart/form-data" or not boundary or len(boundary) > _MAX_BOUNDARY_CHARS:
        raise BadRequest("the body must be multipart/form-data, with the fields `file` and `purpose`")
    return boundary.encode()


class Form:
    """Takes the body in any pieces; `end` says whether it was whole."""

    def __init__(self, boundary: bytes) -> None:
        self._delimiter = b"\r\n--" + boundary
        self._rest = b"\r\n"  # the first boundary has no line before it
        self._read = self._preamble
        self._field: str | None = None
        self._value = b""

    def feed(self, data: bytes) -> Iterator[Piece]:
        """What is known by now. Raises BadRequest."""
        self._rest += data
        while (pieces := self._read()) is not None:
            yield from pieces

    def end(self) -> None:
        """Raises BadRequest when the last boundary has not come."""
        if self._read != self._nothing:
            raise BadRequest("the body ends before its last boundary")

    def _preamble(self) -> list[Piece] | None:
        before, found, after = self._rest.partition(self._delimiter)
        if not found:
            self._rest = before[-len(self._delimiter) :]
            return None
        self._rest, self._read = after, self._boundary
        return []

    def _boundary(self) -> list[Piece] | None:
        """What follows a boundary: two hyphens after the last one, else the end of the line."""
        if self._rest.startswith(b"--"):
            self._rest, self._read = b"", self._nothing
            return []
        line, found, after = self._rest.partition(b"\r\n")
        if not found and len(line) <= len(self._delimiter):
            return None
        if line.strip(b" \t"):
            raise BadRequest("the body's boundary is followed by something else")
        self._rest, self._read = after, self._head
        return []

    def _head(self) -> list[Piece] | None:
        head, found, after = self._rest.partition(b"\r\n\r\n")
        if len(head) > _MAX_HEADER_BYTES:
            raise BadRequest("the headers of a part of the body are too long")
        if not found:
            return None
        message = _headers(head.decode("utf-8", "replace"))
        name = message.get_param("name", header="content-disposition")
        if message.get_content_disposition() != "form-data" or not isinstance(name, str):
            raise BadRequest("every part of the body needs `Content-Disposition: form-data; name=...`")
        self._rest, self._read = after, self._body
        filename = message.get_filename()
        self._field, self._value = (name, b"") if filename is None else (None, b"")
        return [] if filename is None else [FileBegins(name, filename)]

    def _body(self) -> list[Piece] | None:
        data, found, after = self._rest.partition(self._delimiter)
        if not found:
            # The end of what there is may be the beginning of a boundary.
            keep = len(self._delimiter) - 1
            data, self._rest = self._rest[:-keep], self._rest[-keep:]
            self._add(data)
            return [FileData(data)] if data and self._field is None else None
        self._rest, self._read = after, self._boundary
        self._add(data)
        if self._field is None:
            return [FileData(data)] if data else []
        return [Field(self._field, self._value.decode("utf-8", "replace"))]

    def _add(self, data: bytes) -> None:
        if self._field is None:
            return
        self._value += data
        if len(self._value) > MAX_FIELD_BYTES:
            raise BadRequest(f"the field `{self._field[:60]}` is longer than {MAX_FIELD_BYTES:,} bytes", self._field[:60])

    def _nothing(self) -> list[Piece] | None:
        self._rest = b""  # an epilogue is passed over
        return None


def _headers(text: str) -> Message:
    message = Message()
    for line in text.split("\r\n"):
        name, found, value = line.partition(":")
        if found:
            message[name.strip()] = value.strip()
    return message
