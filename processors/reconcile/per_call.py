"""Reads the objects that are about one call each."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from processors.providers.usage import MOST_TOKENS, count
from processors.reconcile.formats import Shape, unwrapped
from processors.reconcile.lines import KeyKind, Line, Told
from schemas.errors import SettingsError

CALL_ID_NAMES = ("x-penstock-call-id", "call_id")
"""Where a gateway or a log of the provider's side may have kept the header that our calls carry."""


def read(shape: Shape, item: dict[str, Any], provider: str, where: str) -> Line | None:
    """The line that one object makes; None when it was not billed for tokens (a refused item of a batch has no usage).

    Raises SettingsError when it has no id, or counts that cannot be.
    """
    body = unwrapped(item)
    told = _READERS[shape](body)
    if told is None:
        return None
    kind, name = _key(item, body, where)
    model = body.get("model") or body.get("modelVersion")
    return Line(kind, name, provider, model if isinstance(model, str) else None, _at_us(body), _checked(told, where))


def openai(body: dict[str, Any]) -> Told | None:
    """OpenAI's counts include what was cached and what was thought. The newer names are those of the responses API."""
    usage = body.get("usage")
    if not isinstance(usage, dict):
        return None
    sent, made = _first(usage, "prompt_tokens", "input_tokens"), _first(usage, "completion_tokens", "output_tokens")
    details = _object(usage, "prompt_tokens_details") or _object(usage, "input_tokens_details")
    thought = _object(usage, "completion_tokens_details") or _object(usage, "output_tokens_details")
    cached = count(details.get("cached_tokens"))
    return _told(
        sent,
        0 if made is None and sent is not None and "total_tokens" in usage else made,
        read=count(usage.get("prompt_cache_hit_tokens")) if cached is None else cached,
        write=count(details.get("cache_write_tokens")),
        reasoning=count(thought.get("reasoning_tokens")),
    )


def anthropic(body: dict[str, Any]) -> Told | None:
    """Anthropic's input_tokens leave out what was read from and written to the cache."""
    usage = body.get("usage")
    if not isinstance(usage, dict):
        return None
    plain = count(usage.get("input_tokens"))
    read = count(usage.get("cache_read_input_tokens")) or 0
    write = count(usage.get("cache_creation_input_tokens")) or 0
    return _told(
        None if plain is None else plain + read + write,
        count(usage.get("output_tokens")),
        read=read,
        write=write,
        reasoning=count(_object(usage, "output_tokens_details").get("thinking_tokens")),
    )


def google(body: dict[str, Any]) -> Told | None:
    """Gemini counts thoughts beside the answer and tool prompts beside the prompt, and leaves zeros out."""
    usage = _object(body, "usageMetadata")
    prompt = count(usage.get("promptTokenCount"))
    thoughts = count(usage.get("thoughtsTokenCount")) or 0
    return _told(
        None if prompt is None else prompt + (count(usage.get("toolUsePromptTokenCount")) or 0),
        (count(usage.get("candidatesTokenCount")) or 0) + thoughts,
        read=count(usage.get("cachedContentTokenCount")) or 0,
        reasoning=thoughts,
    )


_READERS: Mapping[Shape, Callable[[dict[str, Any]], Told | None]] = {
    Shape.OPENAI: openai,
    Shape.ANTHROPIC: anthropic,
    Shape.GOOGLE: google,
}


def _told(
    sent: int | None, made: int | None, *, read: int | None = None, write: int | None = None, reasoning: int | None = None
) -> Told | None:
    return None if sent is None or made is None else Told(sent, made, read, write, reasoning)


def _checked(told: Told, where: str) -> Told:
    parts = told.cache_read_input_tokens or 0, told.cache_write_input_tokens or 0, told.reasoning_tokens or 0
    possible = all(0 <= n <= MOST_TOKENS for n in (told.input_tokens, told.output_tokens, *parts))
    if not possible or parts[0] + parts[1] > told.input_tokens or parts[2] > told.output_tokens:
        raise SettingsError(f"{where} has token counts that cannot be ({told}); check the export, nothing was posted")
    return told


def _key(item: dict[str, Any], body: dict[str, Any], where: str) -> tuple[KeyKind, str]:
    for place in (item, body, _object(body, "metadata"), _object(item, "metadata"), _object(item, "headers")):
        for name in CALL_ID_NAMES:
            if isinstance(found := place.get(name), str) and found:
                return KeyKind.CALL, found
    found = body.get("id") or body.get("responseId")
    if not isinstance(found, str) or not found:
        raise SettingsError(f"{where} has no id: what it bills cannot be told from other calls; export it with ids")
    return KeyKind.RESPONSE, found


def _at_us(body: dict[str, Any]) -> int | None:
    for name in ("created", "created_at", "createTime"):
        value = body.get(name)
        if (seconds := count(value)) is not None:
            return seconds * 1_000_000
        if isinstance(value, str):
            return iso_us(value)
    return None


def iso_us(text: str) -> int | None:
    """Unix microseconds of an RFC 3339 time; None when it is none.

    >>> iso_us("1970-01-01T00:00:01Z")
    1000000
    """
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    at = at.replace(tzinfo=UTC) if at.tzinfo is None else at
    return int(at.timestamp()) * 1_000_000 + at.microsecond


def _first(usage: dict[str, Any], *names: str) -> int | None:
    return next((found for name in names if (found := count(usage.get(name))) is not None), None)


def _object(holder: dict[str, Any], name: str) -> dict[str, Any]:
    value = holder.get(name)
    return value if isinstance(value, dict) else {}
