"""Opens a provider's export: which it is, and its lines in our terms, one at a time."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import orjson

from processors.reconcile import aggregated, per_call
from processors.reconcile.formats import FORMATS, KNOWN, Shape, recognise
from processors.reconcile.lines import Bucket, KeyKind, Line, Told
from schemas.errors import SettingsError
from streams.simulator import call_log

MAX_DOCUMENT_BYTES = 256 * 1024 * 1024
"""Of a file that is one JSON document; JSON lines may be of any length."""


@dataclass(slots=True)
class Export:
    """A file whose shape is known. `provider` None: each line says whose it is. `more`: its last page says that more follow."""

    path: Path
    shape: Shape
    provider: str | None
    more: bool = False

    def lines(self) -> Iterator[Line]:
        """The calls of the export. Raises SettingsError where it cannot be read."""
        if self.shape is Shape.SIMULATOR:
            yield from self._simulated()
            return
        for where, item in self._items():
            if (line := per_call.read(self.shape, item, str(self.provider), where)) is not None:
                yield line

    def buckets(self) -> Iterator[Bucket]:
        """The sums of a usage report. Raises SettingsError where it cannot be read."""
        for where, item in self._items():
            yield from aggregated.read(self.shape, item, str(self.provider), where)

    def _items(self) -> Iterator[tuple[str, dict[str, Any]]]:
        pages = _Pages(self.path)
        for where, item in pages.items():
            if recognise(item) is not self.shape:
                raise SettingsError(f"{where} is no object of the {self.shape.value} export that the file began as")
            yield where, item
        self.more = pages.more

    def _simulated(self) -> Iterator[Line]:
        try:
            for call in call_log.read(self.path):
                line = _of_simulator(call)
                if self.provider is None or self.provider == call.provider:
                    yield line
        except call_log.CallLogError as error:
            raise SettingsError(str(error)) from error


def open_export(path: Path, *, format_name: str = "auto", provider: str | None = None) -> Export:
    """Raises SettingsError for a file that cannot be read or is no export of the format."""
    if format_name not in FORMATS:
        raise SettingsError(f"--format takes {', '.join(FORMATS)}, not {format_name!r}")
    first = next(_Pages(path).items(), None)
    if first is None:
        raise SettingsError(f"{path} holds no lines: export a time in which calls were made")
    where, item = first
    shape = recognise(item)
    if shape is None or shape not in FORMATS[format_name]:
        asked = "no export that we know" if format_name == "auto" else f"no {format_name} export"
        raise SettingsError(f"{where} is of {asked}. What can be read: {KNOWN}")
    return Export(path, shape, provider or shape.provider)


class _Pages:
    """The objects of a file: of JSON lines, of a list, of a response's `data`, and of several of these."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.more = False

    def items(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Each object, with the place that messages name."""
        for where, document in self._documents():
            yield from self._unfolded(where, document)

    def _unfolded(self, where: str, document: Any) -> Iterator[tuple[str, dict[str, Any]]]:
        if isinstance(document, dict) and isinstance(document.get("data"), list):
            self.more = bool(document.get("has_more"))
            document = document["data"]
        if isinstance(document, list):
            for number, item in enumerate(document, start=1):
                yield from self._unfolded(f"{where}, item {number}", item)
        else:
            yield where, document

    def _documents(self) -> Iterator[tuple[str, Any]]:
        try:
            with self._path.open("rb") as file:
                for number, line in enumerate(file, start=1):
                    if not line.strip():
                        continue
                    try:
                        yield f"{self._path}, line {number}", orjson.loads(line)
                    except orjson.JSONDecodeError as error:
                        if number > 1:
                            raise SettingsError(f"{self._path}, line {number} is no JSON ({error})") from error
                        yield str(self._path), self._whole()
                        return
        except OSError as error:
            raise SettingsError(f"{self._path} cannot be read ({error.strerror}); name the provider's export") from error

    def _whole(self) -> Any:
        if (size := self._path.stat().st_size) > MAX_DOCUMENT_BYTES:
            raise SettingsError(
                f"{self._path} is a JSON document of {size:,} bytes; {MAX_DOCUMENT_BYTES:,} can be read: write an object a line"
            )
        try:
            return orjson.loads(self._path.read_bytes())
        except orjson.JSONDecodeError as error:
            raise SettingsError(f"{self._path} is neither JSON nor JSON lines ({error}). What can be read: {KNOWN}") from error


def _of_simulator(call: call_log.Call) -> Line:
    line = Line(
        KeyKind.NONE,
        f"{call.run}/{call.seq}",
        call.provider,
        call.model,
        int(call.t_in * 1_000_000),
        Told(call.input_tokens, call.output_tokens),
    )
    return line if call.call_id is None else replace(line, kind=KeyKind.CALL, id=call.call_id)
