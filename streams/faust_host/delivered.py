"""One record as an agent's function gets it."""

from typing import Any

from faust.types import EventT

Headers = tuple[tuple[str, bytes], ...]


class Delivered:
    """A view of one event: raw bytes, position, and the acknowledgement."""

    __slots__ = ("_event", "_message")

    def __init__(self, event: EventT) -> None:
        self._event = event
        self._message: Any = event.message

    @property
    def value(self) -> bytes | None:
        """None is a tombstone."""
        value: bytes | None = self._message.value
        return value

    @property
    def key(self) -> bytes | None:
        key: bytes | None = self._message.key
        return key

    @property
    def headers(self) -> Headers:
        """As sent, but for those that begin with `Faust-`."""
        headers: Headers = self._message.headers
        return headers

    @property
    def topic(self) -> str:
        return str(self._message.topic)

    @property
    def partition(self) -> int:
        return int(self._message.partition)

    @property
    def offset(self) -> int:
        return int(self._message.offset)

    @property
    def timestamp_ms(self) -> int:
        """Milliseconds since the epoch, as the topic's timestamp type says: of the producer or of the log."""
        milliseconds: int = round(self._message.timestamp * 1000)
        return milliseconds

    def ack(self) -> bool:
        """Say that the record is done. False when it was done already, or its partition has moved and it comes again there."""
        return bool(self._event.ack())

    def __repr__(self) -> str:
        return f"<Delivered {self.topic}-{self.partition}@{self.offset}>"
