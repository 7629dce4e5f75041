"""The body of an upload, `multipart/form-data` (RFC 7578), taken apart as it comes by `python-multipart`.

Pure: bytes in, pieces out. No more is held than a boundary's length and a field that is no file.
"""

from dataclasses import dataclass

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from processors.api.bad_request import BadRequest

MAX_FIELD_BYTES = 65_536
_MAX_BOUNDARY_CHARS = 70
_NEEDED = "every part of the body needs `Content-Disposition: form-data; name=...`"


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
    kind, options = parse_options_header(content_type.encode("latin-1", "replace"))
    boundary = options.get(b"boundary", b"")
    if kind != b"multipart/form-data" or not 0 < len(boundary) <= _MAX_BOUNDARY_CHARS:
        raise BadRequest("the body must be multipart/form-data, with the fields `file` and `purpose`")
    return boundary


class Form:
    """Takes the body in any pieces; `end` says whether it was whole. After an error it is of no use."""

    def __init__(self, boundary: bytes) -> None:
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._part_begins,
                "on_header_field": self._header_name,
                "on_header_value": self._header_value,
                "on_header_end": self._header_ends,
                "on_headers_finished": self._headers_end,
                "on_part_data": self._data,
                "on_part_end": self._part_ends,
                "on_end": self._body_ends,
            },
        )
        self._pieces: list[Piece] = []
        self._ended = False
        self._name = self._value = self._disposition = b""
        self._field: str | None = None
        """The name of the field that is being read; None in a file."""
        self._held = bytearray()

    def feed(self, data: bytes) -> list[Piece]:
        """What is known by now. Raises BadRequest."""
        try:
            self._parser.write(data)
        except FormParserError as error:
            raise BadRequest(f"the body is no multipart/form-data: {error}") from error
        pieces, self._pieces = self._pieces, []
        return pieces

    def end(self) -> None:
        """Raises BadRequest when the last boundary has not come."""
        if not self._ended:
            raise BadRequest("the body ends before its last boundary")

    def _part_begins(self) -> None:
        self._name = self._value = self._disposition = b""

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_ends(self) -> None:
        if self._name.lower() == b"content-disposition":
            self._disposition = self._value
        self._name = self._value = b""

    def _headers_end(self) -> None:
        kind, options = parse_options_header(self._disposition)
        name, filename = options.get(b"name"), options.get(b"filename")
        if kind != b"form-data" or name is None:
            raise BadRequest(_NEEDED)
        self._field = _text(name) if filename is None else None
        self._held.clear()
        if filename is not None:
            self._pieces.append(FileBegins(_text(name), _text(filename)))

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._field is None:
            self._pieces.append(FileData(data[start:end]))
            return
        self._held += data[start:end]
        if len(self._held) > MAX_FIELD_BYTES:
            raise BadRequest(f"the field `{self._field[:60]}` is longer than {MAX_FIELD_BYTES:,} bytes", self._field[:60])

    def _part_ends(self) -> None:
        if self._field is not None:
            self._pieces.append(Field(self._field, _text(self._held)))

    def _body_ends(self) -> None:
        self._ended = True


def _text(raw: bytes | bytearray) -> str:
    return raw.decode("utf-8", "replace")
