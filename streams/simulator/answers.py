"""The model: the same request gives the same answer."""

from dataclasses import dataclass, replace
from enum import Enum

import orjson

from streams.simulator.ask import Ask
from streams.simulator.chance import draw
from streams.simulator.json_instance import instance
from streams.simulator.text import text_of
from streams.simulator.tokens import Usage, count

MIN_NATURAL_TOKENS = 16
MAX_NATURAL_TOKENS = 128
_ANY_OBJECT = {"type": "object", "properties": {"answer": {"type": "string"}, "ok": {"type": "boolean"}}}


class Finish(Enum):
    STOP = "stop"
    LENGTH = "length"
    TOOL = "tool"


@dataclass(frozen=True, slots=True)
class ToolUse:
    name: str
    arguments: bytes  # a JSON object


@dataclass(frozen=True, slots=True)
class Answer:
    """`usage` is what the provider bills."""

    text: str
    usage: Usage
    finish: Finish = Finish.STOP
    tool: ToolUse | None = None


def answer(ask: Ask) -> Answer:
    """A call of the tool, JSON that fits the schema, one of the labels, or prose.

    Prose has the size that was asked for, else 16 to 128 tokens, cut at the request's limit. JSON and tool calls are never
    cut; when a size was asked for, their usage says that size all the same. Raises BadSchema.
    """
    if ask.tool is not None:
        arguments = orjson.dumps(instance(ask.tool.schema, seed=ask.seed))
        tokens = count(ask.tool.name) + count(arguments.decode())
        return Answer("", _usage(ask, tokens), Finish.TOOL, ToolUse(ask.tool.name, arguments))
    if ask.json_schema is not None:
        text = orjson.dumps(instance(ask.json_schema or _ANY_OBJECT, seed=ask.seed)).decode()
        return Answer(text, _usage(ask, count(text)))
    if ask.labels:
        label = ask.labels[draw(ask.seed) % len(ask.labels)]
        return Answer(label, _usage(ask, count(label)))
    if ask.sizes.output_tokens is not None:
        tokens, finish = ask.sizes.output_tokens, Finish.STOP
    else:
        tokens, finish = _natural(ask)
    return Answer(text_of(tokens, seed=ask.seed), _usage(ask, tokens), finish)


def embedded(ask: Ask) -> Answer:
    """The bill of an embedding call: no output tokens."""
    return Answer("", replace(_usage(ask, 0), output_tokens=0))


def _natural(ask: Ask) -> tuple[int, Finish]:
    tokens = MIN_NATURAL_TOKENS + draw(ask.seed) % (MAX_NATURAL_TOKENS - MIN_NATURAL_TOKENS + 1)
    limit = ask.max_output_tokens
    return (limit, Finish.LENGTH) if limit is not None and limit < tokens else (tokens, Finish.STOP)


def _usage(ask: Ask, tokens: int) -> Usage:
    return ask.sizes.usage(counted_input=ask.input_tokens, output_tokens=tokens)
