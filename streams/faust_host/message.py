"""One record on its way through the app, tied to the book of its partition."""

from typing import Any

from faust.types.tuples import TP, ConsumerMessage

from streams.faust_host.offsets import PartitionOffsets


class Message(ConsumerMessage):
    """A Faust message that knows its partition's book. `book` is None for topics that need no acknowledgement (changelogs)."""

    __slots__ = ("book",)

    book: PartitionOffsets | None


def from_record(record: Any, tp: TP, *, generation: int, book: PartitionOffsets | None) -> Message:
    """A message of an aiokafka record, without the headers by which strangers could steer Faust (`Faust-Ag-ReplyTo`)."""
    message = Message(
        record.topic,
        record.partition,
        record.offset,
        record.timestamp / 1000.0,
        record.timestamp_type,
        _foreign(record.headers) if record.headers else (),
        record.key,
        record.value,
        record.checksum,
        record.serialized_key_size,
        record.serialized_value_size,
        tp,
        None,
        None,
        None,
        generation,
    )
    message.book = book
    return message


def _foreign(headers: tuple[tuple[str, bytes], ...]) -> tuple[tuple[str, bytes], ...]:
    return tuple(header for header in headers if not header[0].lower().startswith("faust-"))
