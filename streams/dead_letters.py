"""Bad input, put aside with its raw bytes."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Protocol

from schemas.outcomes import DeadLetter
from schemas.serde import Serde
from streams import clock, metrics, topics
from streams.publisher import Outgoing

MAX_VALUE_BYTES = 256 * 1024
_MAX_KEY_BYTES = 4 * 1024
_MAX_HEADERS = 32
_MAX_HEADER_BYTES = 1024
_MAX_AHEAD = timedelta(days=1)


class Arrived(Protocol):
    """A record as it came, whoever consumed it."""

    @property
    def topic(self) -> str: ...
    @property
    def partition(self) -> int: ...
    @property
    def offset(self) -> int: ...
    @property
    def timestamp_ms(self) -> int: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> Sequence[tuple[str, bytes | None]]: ...


def timestamp_of(record: Arrived, now: datetime) -> datetime:
    """The record's timestamp; `now` for one that has none or cannot be: before 1970, or more than a day ahead."""
    timestamp_ms = record.timestamp_ms
    if timestamp_ms < 0 or timestamp_ms > (now + _MAX_AHEAD).timestamp() * 1000:
        return now
    return clock.from_kafka_ms(timestamp_ms)


def dead_letter(
    record: Arrived,
    serde: Serde,
    *,
    stage: str,
    reason: str,
    message: str,
    now: datetime,
    request_id: str | None = None,
    tenant: str | None = None,
) -> Outgoing:
    """The record, its position and what is wrong with it, for ai.dead-letters. Long values, keys and headers are cut."""
    value = record.value or b""
    metrics.DEAD_LETTERS.labels(stage, reason).inc()
    letter = DeadLetter(
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        stage=stage,
        reason=reason,
        message=message,
        value=value[:MAX_VALUE_BYTES],
        value_size=len(value),
        truncated=len(value) > MAX_VALUE_BYTES,
        timestamp=timestamp_of(record, now),
        seen_at=now,
        key=None if record.key is None else record.key[:_MAX_KEY_BYTES],
        headers={name[:_MAX_HEADER_BYTES]: (text or b"")[:_MAX_HEADER_BYTES] for name, text in record.headers[:_MAX_HEADERS]},
        request_id=request_id,
        tenant=tenant,
    )
    key = f"{record.topic}-{record.partition}-{record.offset}"
    return Outgoing(topics.DEAD_LETTERS, key, serde.of(DeadLetter).encode(letter))
