"""Classify a request: simple honest rules. Words speak for kinds of tasks; where none speaks, the kind is `other`."""

import re
from dataclasses import dataclass
from enum import StrEnum

from processors.classify import tokens
from processors.classify.lexicon import GREETINGS, HARD_WORDS, PHRASES, WORDS, TaskKind
from schemas.requests import InferenceRequest, Operation

_HEAD_CHARS = 600
_TAIL_CHARS = 200
_THRESHOLD = 2
_CODE_FENCE_WEIGHT = 4
_FORMULA_WEIGHT = 3
_CHAT_WORDS = 6
_ORDER = tuple(TaskKind)
_word = re.compile(r"[a-z]+[+#]*")
_formula = re.compile(r"\d\s*[-+*/^=<>|]\s*[\da-z(]|\b[a-z]\s?[-+*/^=]\s?[\da-z]\b|\b[a-z]\([a-z\d]\)")


class Complexity(StrEnum):
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


@dataclass(frozen=True, slots=True)
class Needs:
    """What a deployment must be able to do, besides the operation."""

    tools: bool = False
    vision: bool = False
    json_mode: bool = False


@dataclass(frozen=True, slots=True)
class Classified:
    """A request and what routing wants to know about it. `max_output_tokens` is the request's own bound, None: it has none."""

    request: InferenceRequest
    operation: Operation
    task_kind: TaskKind
    complexity: Complexity
    input_tokens_estimate: int
    max_output_tokens: int | None
    needs: Needs


def decide(request: InferenceRequest) -> Classified:
    """The classified request."""
    text = _asked(request)
    lower = (text if len(text) <= _HEAD_CHARS + _TAIL_CHARS else f"{text[:_HEAD_CHARS]} {text[-_TAIL_CHARS:]}").lower()
    words = set(_word.findall(lower))
    kind = _kind(lower, words, fenced="```" in text) if request.operation in _IN_WORDS else TaskKind.OTHER
    estimate = tokens.of_request(request)
    return Classified(
        request=request,
        operation=request.operation,
        task_kind=kind,
        complexity=_complexity(request, kind, words, estimate),
        input_tokens_estimate=estimate,
        max_output_tokens=0 if request.operation is Operation.EMBEDDINGS else request.sampling.max_output_tokens,
        needs=_needs(request),
    )


_IN_WORDS = frozenset({Operation.CHAT, Operation.TEXT_COMPLETION})


def _asked(request: InferenceRequest) -> str:
    """What the sender last asked: the last user message, else the first input text."""
    for message in reversed(request.messages):
        if message.role == "user":
            if message.content is not None:
                return message.content
            return " ".join(part.text for part in message.parts if part.text)
    return request.input[0] if request.input else ""


def _kind(lower: str, words: set[str], *, fenced: bool) -> TaskKind:
    scores: dict[TaskKind, int] = {}
    for word in words & WORDS.keys():
        for kind, weight in WORDS[word]:
            scores[kind] = scores.get(kind, 0) + weight
    for phrase, kind, weight in PHRASES:
        if phrase in lower:
            scores[kind] = scores.get(kind, 0) + weight
    if fenced:
        scores[TaskKind.CODING] = scores.get(TaskKind.CODING, 0) + _CODE_FENCE_WEIGHT
    if _formula.search(lower):
        scores[TaskKind.MATH] = scores.get(TaskKind.MATH, 0) + _FORMULA_WEIGHT
    best = max(scores.values(), default=0)
    if best < _THRESHOLD:
        return TaskKind.CHAT if 0 < len(words) <= _CHAT_WORDS and words & GREETINGS else TaskKind.OTHER
    return next(kind for kind in _ORDER if scores.get(kind) == best)


def _complexity(request: InferenceRequest, kind: TaskKind, words: set[str], input_tokens: int) -> Complexity:
    """How much work the answer takes, by five signs, each worth a point: none is low, one or two medium, three or more high."""
    points = (
        (kind in {TaskKind.MATH, TaskKind.CODING, TaskKind.REASONING})
        + (input_tokens > 500)
        + (input_tokens > 4_000)
        + (request.tools_json is not None or len(request.messages) > 6)
        + (not words.isdisjoint(HARD_WORDS))
    )
    return Complexity.LOW if points == 0 else Complexity.MEDIUM if points <= 2 else Complexity.HIGH


def _needs(request: InferenceRequest) -> Needs:
    response_format = request.response_format_json
    return Needs(
        tools=request.tools_json is not None,
        vision=any(part.image_url is not None for message in request.messages for part in message.parts),
        json_mode=response_format is not None and '"json' in response_format,
    )
