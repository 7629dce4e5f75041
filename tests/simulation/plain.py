"""A serde that encodes nothing: a record is its own value. Codecs have their own tests, and Avro would take most of the time."""

from typing import Any

from schemas.errors import MalformedRecord


class PlainCodec:
    """Hands records through; what is no record of its type is malformed."""

    __slots__ = ("_type",)

    def __init__(self, record_type: type[Any]) -> None:
        self._type = record_type

    def encode(self, record: Any) -> Any:
        return record

    def decode(self, value: Any) -> Any:
        if isinstance(value, self._type):
            return value
        raise MalformedRecord("bad_magic", f"no {self._type.__name__}")


class PlainSerde:
    """Stands in for `schemas.serde.Serde`."""

    def __init__(self) -> None:
        self._codecs: dict[type[Any], PlainCodec] = {}

    def of(self, record_type: type[Any]) -> PlainCodec:
        if (codec := self._codecs.get(record_type)) is None:
            codec = self._codecs[record_type] = PlainCodec(record_type)
        return codec
