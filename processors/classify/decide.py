"""Classify requests: what each is about and how sure that is, how hard, how long, in which language, and what it needs.

In two steps, so that one embedding serves a batch and a request that makes trouble makes it alone: `read` takes one request
and needs no vector; `judge` takes what was read of many, and an embedder. `decide` is both.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import orjson

from processors.classify import tokens
from processors.classify.asked import Asked, asked
from processors.classify.complexity import Complexity, complexity_of
from processors.classify.head import Read, join, shipped
from processors.classify.kinds import TaskKind
from processors.classify.language import language_of
from processors.classify.sensitivity import Sensitivity, nothing
from processors.classify.signs import words_of
from processors.embedding import Embedder, Vectors
from schemas.requests import InferenceRequest, Operation

CLASSIFIER = shipped().version
"""Names the weights. Another version may call the same request another kind."""
_IN_WORDS = frozenset({Operation.CHAT, Operation.TEXT_COMPLETION})
_KINDS = tuple(TaskKind)


@dataclass(frozen=True, slots=True)
class Needs:
    """What a deployment must be able to do, besides the operation."""

    tools: bool = False
    vision: bool = False
    json_mode: bool = False
    json_schema: bool = False


@dataclass(frozen=True, slots=True)
class Classified:
    """A request and what routing wants to know about it. `max_output_tokens` is the request's own bound, None: it has none.

    `confidence` is the calibrated share of `task_kind`; where that is `other` for want of a surer kind, the share of the best
    one. `vector` is the embedding of what was last asked, None where no text is; `whole`: nothing of that text was left out.
    """

    request: InferenceRequest
    operation: Operation
    task_kind: TaskKind
    complexity: Complexity
    input_tokens_estimate: int
    max_output_tokens: int | None
    needs: Needs
    confidence: float = 0.0
    language: str = "und"
    sensitivity: tuple[str, ...] = ()
    vector: Vectors | None = None
    whole: bool = True


@dataclass(frozen=True, slots=True)
class Reading:
    """What one request shows without a vector.

    `reads` holds what the head needs of each turn, oldest first. There are none where the kind is not told by words.
    """

    request: InferenceRequest
    asked: Asked
    words: tuple[str, ...]
    reads: tuple[Read, ...]
    language: str
    input_tokens_estimate: int
    sensitivity: tuple[str, ...]


def decide(requests: Sequence[InferenceRequest], embedder: Embedder, *, sensitivity: Sensitivity = nothing) -> list[Classified]:
    """The classified requests, in order. A request's answer does not depend on the others."""
    return judge([read(request, sensitivity=sensitivity) for request in requests], embedder)


def read(request: InferenceRequest, *, sensitivity: Sensitivity = nothing) -> Reading:
    """What one request shows by itself."""
    question = asked(request)
    words = words_of(question.text)
    reads: tuple[Read, ...] = ()
    if request.operation in _IN_WORDS and not question.text.isspace() and question.text:
        head = shipped()
        reads = (*(head.read(text, words_of(text)) for text in question.earlier), head.read(question.text, words))
    return Reading(
        request=request,
        asked=question,
        words=tuple(words),
        reads=reads,
        language=language_of(question.text, words),
        input_tokens_estimate=tokens.of_request(request),
        sensitivity=tuple(sensitivity(request)),
    )


def judge(readings: Sequence[Reading], embedder: Embedder) -> list[Classified]:
    """The classified requests of these readings: one embedding for all.

    Raises ValueError for an embedder that the weights are not of.
    """
    if (wanted := shipped().embedder) != embedder.name:
        raise ValueError(f"the classifier's weights are for the embedder {wanted}, not for {embedder.name}")
    texts = [_texts(reading) for reading in readings]
    vectors = embedder.embed([text for turns in texts for text in turns])
    classified: list[Classified] = []
    start = 0
    for reading, turns in zip(readings, texts, strict=True):
        end = start + len(turns)
        classified.append(_classified(reading, vectors[start:end]))
        start = end
    return classified


def _texts(reading: Reading) -> tuple[str, ...]:
    text = reading.asked.text
    return (*reading.asked.earlier, text) if reading.reads else (text,) if text else ()


def _classified(reading: Reading, vectors: Vectors) -> Classified:
    request = reading.request
    kind, confidence = _kind(reading.reads, vectors)
    return Classified(
        request=request,
        operation=request.operation,
        task_kind=kind,
        complexity=complexity_of(request, kind, reading.words, reading.input_tokens_estimate),
        input_tokens_estimate=reading.input_tokens_estimate,
        max_output_tokens=0 if request.operation is Operation.EMBEDDINGS else request.sampling.max_output_tokens,
        needs=_needs(request),
        confidence=confidence,
        language=reading.language,
        sensitivity=reading.sensitivity,
        vector=vectors[-1] if len(vectors) else None,
        whole=reading.asked.whole,
    )


def _kind(reads: Sequence[Read], vectors: Vectors) -> tuple[TaskKind, float]:
    if not reads:
        return TaskKind.OTHER, 0.0
    head = shipped()
    shares = join(head.probabilities(turn, vector) for turn, vector in zip(reads, vectors, strict=True))
    best = int(shares.argmax())
    # Rounded, so that a processor that adds in another order says the same.
    confidence = round(float(shares[best]), 3)
    return (_KINDS[best] if confidence >= head.threshold else TaskKind.OTHER), confidence


def _needs(request: InferenceRequest) -> Needs:
    response_format = _format(request)
    return Needs(
        tools=request.tools_json is not None,
        vision=any(part.image_url is not None for message in request.messages for part in message.parts),
        json_mode=response_format.startswith("json") and response_format != "json_schema",
        json_schema=response_format == "json_schema",
    )


def _format(request: InferenceRequest) -> str:
    """The type of the response format; empty without one."""
    text = request.response_format_json
    return "" if text is None else str(orjson.loads(text).get("type", ""))
