"""What the shapes share: a reply's identity, and content cut into events."""

from dataclasses import dataclass
from datetime import UTC, datetime

from streams.simulator.text import pieces


@dataclass(frozen=True, slots=True)
class Stamp:
    """`number` is unlike that of any other reply; `now_s` is Unix time; `elapsed_ms` is how long the model takes."""

    number: int
    now_s: float
    elapsed_ms: float = 0.0

    @property
    def hex(self) -> str:
        return f"{self.number:016x}"

    @property
    def iso(self) -> str:
        """The time as RFC 3339, with microseconds."""
        return datetime.fromtimestamp(self.now_s, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def content(text: str, tokens: int, count: int) -> list[tuple[str, int]]:
    """Pieces of a text, each with its share of the tokens; the shares add up to `tokens`.

    >>> content("abcd", 3, 2)
    [('ab', 1), ('cd', 2)]
    """
    cut = pieces(text, count)
    n = len(cut)
    return [(piece, tokens * (i + 1) // n - tokens * i // n) for i, piece in enumerate(cut)]


# What the lists of models show; a call may name any other.
MODELS = (
    "gpt-6-luna",
    "gpt-6.1-terra",
    "gpt-4o-mini",
    "text-embedding-3-small",
    "claude-haiku-5-5",
    "claude-sonnet-5-5",
    "gemini-3.5-flash-lite",
    "gemini-3.8-flash",
    "gemini-embedding-001",
    "deepseek-v4-flash",
    "deepseek-v4-pro",
    "llama3.2",
    "qwen3",
    "nomic-embed-text",
)
