"""Which export it is: told by the shape of its objects, as the providers document them."""

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any


class Shape(StrEnum):
    """The objects that we can read."""

    SIMULATOR = "simulator"
    OPENAI = "openai"
    ANTHROPIC = "anthropic"
    GOOGLE = "google"
    OPENAI_USAGE = "openai-usage"
    ANTHROPIC_USAGE = "anthropic-usage"

    @property
    def is_aggregated(self) -> bool:
        return self in {Shape.OPENAI_USAGE, Shape.ANTHROPIC_USAGE}

    @property
    def provider(self) -> str | None:
        """Whose export it is, as our catalogue names the provider; None when every line says so."""
        return None if self is Shape.SIMULATOR else self.value.removesuffix("-usage")


FORMATS: Mapping[str, frozenset[Shape]] = {
    "auto": frozenset(Shape),
    "simulator": frozenset({Shape.SIMULATOR}),
    "openai": frozenset({Shape.OPENAI, Shape.OPENAI_USAGE}),
    "anthropic": frozenset({Shape.ANTHROPIC, Shape.ANTHROPIC_USAGE}),
    "google": frozenset({Shape.GOOGLE}),
}
"""What `--format` takes, and the shapes that each may have."""

KNOWN = (
    "the simulator's call log; OpenAI's chat completions, responses or batch output, and pages of "
    "/v1/organization/usage/completions; Anthropic's messages or batch results, and pages of "
    "/v1/organizations/usage_report/messages; Google's generateContent responses"
)
_OPENAI_OBJECTS = frozenset({"chat.completion", "text_completion", "response"})


def recognise(item: Any) -> Shape | None:
    """The shape of one object of a file; None when it is none of ours.

    >>> recognise({"object": "chat.completion", "id": "chatcmpl-1"}).value
    'openai'
    >>> recognise({"name": "Ada"}) is None
    True
    """
    if not isinstance(item, dict):
        return None
    body = unwrapped(item)
    return next((shape for shape, fits in _SIGNS.items() if fits(item, body)), None)


def unwrapped(item: dict[str, Any]) -> dict[str, Any]:
    """The provider's answer inside a line of a batch, or the object itself.

    OpenAI's batches have `response.body`, Anthropic's `result.message`, Google's `response`.

    >>> unwrapped({"custom_id": "a", "result": {"type": "succeeded", "message": {"id": "msg_1"}}})
    {'id': 'msg_1'}
    """
    for outer, inner in (("response", "body"), ("result", "message")):
        wrapper = item.get(outer)
        if isinstance(wrapper, dict):
            answer = wrapper.get(inner)
            return answer if isinstance(answer, dict) else wrapper
    return item


def _is_openai(item: dict[str, Any], body: dict[str, Any]) -> bool:
    usage = body.get("usage")
    said = body.get("object") in _OPENAI_OBJECTS or (isinstance(usage, dict) and "prompt_tokens" in usage)
    return said or {"custom_id", "response"} <= item.keys()


_SIGNS: Mapping[Shape, Callable[[dict[str, Any], dict[str, Any]], bool]] = {
    Shape.OPENAI_USAGE: lambda item, _: isinstance(item.get("results"), list) and "start_time" in item,
    Shape.ANTHROPIC_USAGE: lambda item, _: isinstance(item.get("results"), list) and "starting_at" in item,
    Shape.SIMULATOR: lambda item, _: {"event", "run", "seq"} <= item.keys(),
    Shape.GOOGLE: lambda _, body: "usageMetadata" in body,
    Shape.ANTHROPIC: lambda item, body: body.get("type") == "message" or "result" in item,
    Shape.OPENAI: _is_openai,
}
