"""The pieces of tool calls put together, for shapes in which one call has to end before the next begins."""

from dataclasses import dataclass, field
from typing import Any

import orjson


@dataclass(slots=True)
class Growing:
    """A tool call so far; `sent` counts the characters of its arguments that went out."""

    id: str = ""
    name: str = ""
    arguments: str = ""
    sent: int = 0

    def unsent(self) -> str:
        """What of the arguments has not gone out; from now on it has."""
        new = self.arguments[self.sent :]
        self.sent = len(self.arguments)
        return new

    @property
    def whole(self) -> bool:
        """Whether the arguments are a whole JSON object: then nothing but blanks can follow."""
        try:
            return isinstance(orjson.loads(self.arguments), dict)
        except orjson.JSONDecodeError:
            return False


@dataclass(slots=True)
class Calls:
    """The tool calls of one answer, in the order in which they began."""

    _by_index: dict[int, Growing] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self._by_index)

    def at(self, place: int) -> Growing | None:
        """The call that began as the `place`th, from 0 on; None when there is none yet."""
        return list(self._by_index.values())[place] if place < len(self._by_index) else None

    def add(self, delta: dict[str, Any]) -> None:
        """A piece, which names the call that it belongs to by its `index`."""
        call = self._by_index.setdefault(int(delta.get("index") or 0), Growing())
        function = delta.get("function") or {}
        call.id = call.id or delta.get("id") or ""
        call.name = call.name or function.get("name") or ""
        call.arguments += function.get("arguments") or ""
