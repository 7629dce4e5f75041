"""Record <-> bytes: Confluent framing around Avro. The only user of fastavro's codec.

A framed value is the byte 0x00, the schema id as 4 bytes big-endian, and the Avro binary body
(Confluent wire format, "Schema Registry serializers and deserializers").

Decoding is bounded: by size before anything is read, by depth and by trailing bytes. Counts are bounded by the body itself:
every item of every array and map in our schemas takes at least one byte, so a count beyond the body ends in `truncated`.
A request, which strangers write, is bounded in its parts as well: an empty message takes 6 bytes here and 500 in memory.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import Any, Generic, TypeVar, cast

import fastavro
from fastavro.schema import SchemaParseException
from pydantic import TypeAdapter, ValidationError

from schemas.batches import BatchChanged
from schemas.bounded import READS_A_BYTE, Bounded
from schemas.calls import CallOrdered, CallReported
from schemas.cancellation import CancelRequested
from schemas.catalogue import Catalogue, RegisteredSchema
from schemas.configuration import RoutingConfigured
from schemas.errors import MalformedRecord
from schemas.feedback import FeedbackGiven
from schemas.files import FilePart
from schemas.health import AlertRaised, HealthEvent
from schemas.idempotency import IdempotencyClaim
from schemas.keys import KeyIssued
from schemas.ledger import CostEvent, CostTotal
from schemas.outcomes import DeadLetter, InferenceResponse, ResponseChunk
from schemas.requests import InferenceRequest
from schemas.routing import RequestRouted
from schemas.semantic import SemanticEntry
from schemas.state import DispatchChange
from schemas.webhooks import WebhookDelivery, WebhookEndpoint

MAGIC = b"\x00"
HEADER_BYTES = 5
MAX_REQUEST_BYTES = 1_000_000
MAX_RECORD_BYTES = 2_000_000
"""Above the request's own limit, for the records that carry a request or an answer inside."""
MAX_REQUEST_READS = 65_536
"""Three times what 2,048 messages of plain text take. A part in memory is 100 to 500 bytes, so a request stays below 10 MB."""

RECORDS: tuple[type[Any], ...] = (
    InferenceRequest,
    RequestRouted,
    CallOrdered,
    CallReported,
    InferenceResponse,
    CostEvent,
    CostTotal,
    DispatchChange,
    ResponseChunk,
    HealthEvent,
    DeadLetter,
    AlertRaised,
    FeedbackGiven,
    SemanticEntry,
    KeyIssued,
    IdempotencyClaim,
    CancelRequested,
    FilePart,
    BatchChanged,
    WebhookEndpoint,
    WebhookDelivery,
    RoutingConfigured,
)

_header = struct.Struct(">bI")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Codec(Generic[R]):
    """Encodes and decodes one record type."""

    record_type: type[R]
    catalogue: Catalogue
    adapter: TypeAdapter[R]
    schema: RegisteredSchema
    max_bytes: int
    max_reads: int
    nullable_records: tuple[tuple[str, str], ...]
    """Fields that hold null or a record, with the record's name: naming the branch spares fastavro the trial of each."""

    @property
    def write_id(self) -> int:
        """The schema id that records are written under."""
        return self.catalogue.write_id(self.schema.name)

    def encode(self, record: R) -> bytes:
        """The framed value. Raises MalformedRecord when the record does not fit its schema or is too large."""
        out = BytesIO()
        out.write(_header.pack(0, self.write_id))
        try:
            datum = self.adapter.dump_python(record)
            for field_name, branch in self.nullable_records:
                if (nested := datum[field_name]) is not None:
                    datum[field_name] = (branch, nested)
            fastavro.schemaless_writer(out, self.schema.parsed, datum)
        except (ValueError, TypeError, OverflowError) as error:
            raise MalformedRecord("unencodable", f"{self.schema.name} does not fit its schema: {error}") from error
        value = out.getvalue()
        if len(value) > self.max_bytes:
            raise MalformedRecord("too_large", f"{self.schema.name} takes {len(value)} bytes, {self.max_bytes} are allowed")
        return value

    def decode(self, value: bytes | None) -> R:
        """The record. Raises UnknownSchema or MalformedRecord, whose `reason` names what is wrong."""
        schema_id = schema_id_of(value, self.max_bytes)
        value = cast("bytes", value)
        writer = self.catalogue.by_id(schema_id)
        if writer.name != self.schema.name:
            raise MalformedRecord("wrong_type", f"expected {self.schema.name}, found {writer.name} (schema id {schema_id})")
        body = _body(value, self.max_reads)
        reader = None if writer.parsed is self.schema.parsed else self.schema.parsed
        try:
            datum = fastavro.schemaless_reader(body, writer.parsed, reader)
        except (EOFError, IndexError) as error:
            raise MalformedRecord("truncated", f"the body of {self.schema.name} ends before its schema does") from error
        except (
            ValueError,
            TypeError,
            OverflowError,
            KeyError,
            RecursionError,
            MemoryError,
            SchemaParseException,
        ) as error:
            raise MalformedRecord("undecodable", f"the body is no {self.schema.name}: {type(error).__name__}") from error
        except fastavro.read.SchemaResolutionError as error:
            raise MalformedRecord(
                "incompatible_schema", f"schema id {schema_id} cannot be read as {self.schema.name}: {error}"
            ) from error
        if (trailing := _left(body)) != 0:
            raise MalformedRecord("trailing_bytes", f"{trailing} bytes follow the {self.schema.name}")
        try:
            return self.adapter.validate_python(datum)
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            where = ".".join(str(part) for part in first["loc"])
            raise MalformedRecord("invalid", f"{self.schema.name}.{where}: {first['msg']}") from None


class Serde:
    """The codecs of all record types over one catalogue."""

    def __init__(self, catalogue: Catalogue | None = None) -> None:
        self.catalogue = catalogue or Catalogue()
        self._codecs: dict[type[Any], Codec[Any]] = {t: self._make(t) for t in RECORDS}

    def of(self, record_type: type[R]) -> Codec[R]:
        """The codec of one record type; hold on to it where records are many."""
        return cast("Codec[R]", self._codecs[record_type])

    def encode(self, record: Any) -> bytes:
        return self._codecs[type(record)].encode(record)

    def _make(self, record_type: type[R]) -> Codec[R]:
        schema = self.catalogue.ours(record_type.__name__)
        return Codec(
            record_type=record_type,
            catalogue=self.catalogue,
            adapter=TypeAdapter(record_type),
            schema=schema,
            nullable_records=tuple(_nullable_records(schema.parsed)),
            max_bytes=MAX_REQUEST_BYTES if record_type is InferenceRequest else MAX_RECORD_BYTES,
            max_reads=MAX_REQUEST_READS if record_type is InferenceRequest else READS_A_BYTE * MAX_RECORD_BYTES,
        )


def _body(value: bytes, max_reads: int) -> BytesIO | Bounded:
    """The body of a framed value; counted where it is long enough to hold more than `max_reads`."""
    if READS_A_BYTE * len(value) > max_reads:
        return Bounded(value, HEADER_BYTES, max_reads)
    body = BytesIO(value)
    body.seek(HEADER_BYTES)
    return body


def _left(body: BytesIO | Bounded) -> int:
    """How many bytes follow what has been read."""
    return body.left() if isinstance(body, Bounded) else len(body.getbuffer()) - body.tell()


def _nullable_records(schema: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for field in schema["fields"]:
        if isinstance(field["type"], list):
            for branch in field["type"]:
                if isinstance(branch, dict) and branch.get("type") == "record":
                    yield field["name"], branch["name"]
                elif isinstance(branch, str) and "." in branch:
                    yield field["name"], branch


def schema_id_of(value: bytes | None, max_bytes: int = MAX_RECORD_BYTES) -> int:
    """The schema id of a framed value. Raises MalformedRecord.

    >>> schema_id_of(bytes([0, 0, 0, 0, 7, 1]))
    7
    """
    if value is None:
        raise MalformedRecord("empty", "the record has no value; publish Avro in Confluent framing")
    if len(value) > max_bytes:
        raise MalformedRecord("too_large", f"the record takes {len(value)} bytes, {max_bytes} are allowed")
    if len(value) < HEADER_BYTES:
        raise MalformedRecord("truncated", f"the record has {len(value)} bytes, the framing alone takes {HEADER_BYTES}")
    magic, schema_id = _header.unpack_from(value)
    if magic != 0:
        raise MalformedRecord("bad_magic", "the first byte is not 0; publish Avro in Confluent framing")
    return int(schema_id)


def salvage_request_id(value: bytes | None) -> str | None:
    """The request_id of an InferenceRequest whose rest cannot be read, or None.

    It is the first field of the schema: a length as a zig-zag varint, then UTF-8.
    """
    if value is None or len(value) <= HEADER_BYTES or value[:1] != MAGIC:
        return None
    body = BytesIO(value[HEADER_BYTES : HEADER_BYTES + 300])
    try:
        text = fastavro.schemaless_reader(body, "string", None)
    except (EOFError, IndexError, ValueError, OverflowError, MemoryError):
        return None
    return text if isinstance(text, str) and text.isprintable() and 0 < len(text) <= 256 else None
