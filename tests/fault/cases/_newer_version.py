"""The next version of our schemas: the same package with one more nullable field on some records, under new ids."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from schemas.catalogue import builtin
from tests.fakes.registry import with_field

FIELD, VALUE = "since_v2", "written by v2"
RECORDS = {"RequestRouted": "routing", "CallOrdered": "calls", "CallReported": "calls", "DispatchChange": "state"}
"""What grows a field, and the module that has its class: one record of every hop that is not for clients."""
_FIRST_ID = 101


def text_of(record: str) -> str:
    """The newer schema of a record."""
    return with_field(next(s.text for s in builtin().values() if s.name == record), FIELD)


def make_package(folder: Path, records: Sequence[str] = tuple(RECORDS)) -> Path:
    """A directory for PYTHONPATH whose package `schemas` is the newer version; made once."""
    home = folder / "newer-version"
    if home.exists():
        return home
    package = home / "schemas"
    shutil.copytree(Path(__file__).resolve().parents[3] / "schemas", package, ignore=shutil.ignore_patterns("__pycache__"))
    catalogue = package / "catalogue.py"
    ids = "".join(f'    {_FIRST_ID + n}: ("{record}", 2),\n' for n, record in enumerate(records))
    _replace(catalogue, '    14: ("SemanticEntry", 1),\n', f'    14: ("SemanticEntry", 1),\n{ids}')
    for record in records:
        (package / "avro" / f"{record}.v2.avsc").write_text(text_of(record), encoding="utf-8")
        module = package / f"{RECORDS[record]}.py"
        begin = f"class {record}:\n"
        body = module.read_text(encoding="utf-8").partition(begin)[2].partition("\n\n\n")[0].rstrip("\n")
        _replace(module, begin + body, f'{begin}{body}\n    {FIELD}: str | None = "{VALUE}"')
    return home


def written_by_newer(value: bytes) -> bool:
    """Whether the newer version has written this record."""
    return VALUE.encode() in value


def _replace(file: Path, old: str, new: str) -> None:
    text = file.read_text(encoding="utf-8")
    assert text.count(old) == 1, f"{file} has {text.count(old)} times {old!r}"
    file.write_text(text.replace(old, new), encoding="utf-8")
