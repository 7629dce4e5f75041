"""Bytes that stand in somebody's log. They decode to the same records for ever, and today's writer still writes them.

A file here is never edited: a new version of a schema adds one. To make the file of a new version, print
`Serde().encode(record).hex()`, and have the test below read it with Apache's own Avro library first.
"""

import io
import json
from dataclasses import asdict
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

import avro.io
import avro.schema
import pytest

import schemas
from schemas.catalogue import builtin
from schemas.outcomes import ResponseChunk
from schemas.serde import RECORDS, Serde
from tests.contract.records import EXAMPLES

GOLDEN = Path(__file__).parent / "golden"
AVRO = Path(schemas.__file__).parent / "avro"
FILES = sorted(GOLDEN.glob("*.hex"))
SERDE = Serde()
TYPES = {record_type.__name__: record_type for record_type in RECORDS}


def framed(path: Path) -> bytes:
    return bytes.fromhex(path.read_text("ascii"))


def test_every_schema_has_golden_bytes() -> None:
    assert {path.stem for path in FILES} == {f"{s.name}.v{s.version}" for s in builtin().values()}


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_old_bytes_decode_to_the_record(path: Path) -> None:
    name = path.stem.split(".")[0]
    assert SERDE.of(TYPES[name]).decode(framed(path)) == EXAMPLES[name]


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_record_encodes_to_the_bytes_of_its_newest_version(name: str) -> None:
    newest = SERDE.catalogue.ours(name)
    assert SERDE.encode(EXAMPLES[name]).hex() == framed(GOLDEN / f"{name}.v{newest.version}.hex").hex()


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_apaches_own_avro_library_reads_the_same(path: Path) -> None:
    """An independent reader, from the .avsc file alone: the bytes are Avro, not merely what our codec agrees with itself on."""
    schema = avro.schema.parse((AVRO / f"{path.stem}.avsc").read_text("utf-8"))
    body = io.BytesIO(framed(path)[5:])
    datum = avro.io.DatumReader(schema).read(avro.io.BinaryDecoder(body))
    assert body.read() == b"", "all bytes belong to the record"
    assert _plain(datum) == _plain(asdict(EXAMPLES[path.stem.split(".")[0]]))


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_the_frame_is_confluents(path: Path) -> None:
    """Byte 0, then the schema id as four bytes, most significant first."""
    value = framed(path)
    schema = builtin()[int.from_bytes(value[1:5], "big")]
    assert value[0] == 0
    assert f"{schema.name}.v{schema.version}" == path.stem


def test_one_record_spelled_out_by_hand() -> None:
    """From the Avro specification: zig-zag varints, length before bytes, the branch's index before a union's value."""
    chunk = ResponseChunk("r", "t", "c", attempt=1, seq=64, emitted_at=datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC), content="é")
    by_hand = (
        b"\x00\x00\x00\x00\x09"  # frame: magic, schema id 9
        b"\x02r\x02t\x02c"  # three strings of one byte: length 1 is varint 2
        b"\x02"  # attempt 1
        b"\x80\x01"  # seq 64: zig-zag 128, two bytes of seven bits, the lower first
        b"\x02\x04\xc3\xa9"  # content: branch 1, two bytes of UTF-8
        b"\x00\x00\x00\x00"  # reasoning, tool_calls_json, finish_reason, usage: branch 0, null
        b"\x00"  # last: false
        b"\x80\x89\x7a"  # emitted_at: 1,000,000 microseconds, zig-zag 2,000,000
    )
    assert SERDE.encode(chunk).hex() == by_hand.hex()
    assert SERDE.of(ResponseChunk).decode(by_hand) == chunk


def _plain(value: Any) -> Any:
    """Dataclass dictionaries and Avro data in one form."""
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, StrEnum):
        return value.value
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    return json.loads(json.dumps(value)) if isinstance(value, float) else value
