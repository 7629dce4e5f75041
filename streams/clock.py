"""The clock: the one place that reads the time of day for decisions."""

from datetime import UTC, datetime


def now() -> datetime:
    """The current time, UTC, in whole microseconds."""
    return datetime.now(UTC)


def from_kafka_ms(timestamp_ms: int) -> datetime:
    """A Kafka record timestamp as a datetime.

    >>> from_kafka_ms(0).isoformat()
    '1970-01-01T00:00:00+00:00'
    """
    return datetime.fromtimestamp(timestamp_ms / 1000, UTC)
