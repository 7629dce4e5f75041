"""Answers as JSON lines in a file."""

from pathlib import Path
from types import TracebackType
from typing import IO, Any

from schemas.errors import SettingsError
from schemas.serde import Serde
from streams.decoding import dumps


class Output:
    """A file of records, one JSON line each; without a path it takes everything and writes nothing."""

    def __init__(self, path: Path | None, serde: Serde) -> None:
        self._serde = serde
        self._file: IO[bytes] | None = None
        if path is not None:
            try:
                self._file = path.open("wb")
            except OSError as error:
                raise SettingsError(f"cannot write {path} ({error.strerror}): choose another --output") from error

    def __enter__(self) -> "Output":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._file is not None:
            self._file.close()

    def write(self, record: Any) -> None:
        if self._file is not None:
            self._file.write(dumps(record, self._serde))
