"""Topics of an app: raw bytes by default, and nothing is acknowledged because it could not be decoded."""

from collections.abc import Awaitable, Callable
from typing import Any

from faust.exceptions import KeyDecodeError, ValueDecodeError
from faust.topics import Topic as FaustTopic
from faust.types import EventT

from schemas.errors import MalformedRecord

Decode = Callable[..., Awaitable[EventT]]


class Topic(FaustTopic):
    """Faust acknowledges what it cannot decode, and keeps nothing. Here it ends the process instead: the record stays in Kafka.

    Agents that must live with bad input take raw bytes, as `Host.agent` gives them, and decode for themselves.
    """

    decode: Decode

    def _compile_decode(self) -> None:
        if any((self.key_type, self.value_type, self.key_serializer, self.value_serializer)):
            super()._compile_decode()
            self.decode = _loud(self.decode)
        else:
            self.decode = self._raw

    async def _raw(self, message: Any, *, propagate: bool = False) -> EventT:  # noqa: ARG002 - Faust's signature
        return self._create_event(message.key, message.value, message.headers, message)


def _loud(decode: Decode) -> Decode:
    async def decode_or_end(message: Any, *, propagate: bool = False) -> EventT:
        try:
            return await decode(message, propagate=propagate)
        except (KeyDecodeError, ValueDecodeError) as error:
            raise MalformedRecord(
                "undecodable",
                f"{message.topic}-{message.partition}@{message.offset} does not fit the type its topic was declared with; "
                "take raw bytes (Host.agent) and put such records aside, or move the group past it",
            ) from error

    return decode_or_end
