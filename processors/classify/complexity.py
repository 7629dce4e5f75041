"""How much work an answer takes."""

from collections.abc import Collection
from enum import StrEnum

from processors.classify.kinds import TaskKind
from schemas.requests import InferenceRequest


class Complexity(StrEnum):
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


_DEMANDING = frozenset({TaskKind.MATH, TaskKind.CODING, TaskKind.REASONING})
_HARD_WORDS = frozenset(
    {"prove", "proof", "analyze", "analyse", "compare", "contrast", "derive", "optimize", "optimise", "evaluate", "architecture"}
)


def complexity_of(request: InferenceRequest, kind: TaskKind, words: Collection[str], input_tokens: int) -> Complexity:
    """By five signs, each worth a point: none is low, one or two medium, three or more high."""
    points = (
        (kind in _DEMANDING)
        + (input_tokens > 500)
        + (input_tokens > 4_000)
        + (request.tools_json is not None or len(request.messages) > 6)
        + (not _HARD_WORDS.isdisjoint(words))
    )
    return Complexity.LOW if points == 0 else Complexity.MEDIUM if points <= 2 else Complexity.HIGH
