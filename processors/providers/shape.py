"""Reading what a provider sent, without trusting its shape."""

import re
from typing import Any

import orjson

from schemas.errors import ProviderContractError

_IDENTIFIER = re.compile(r"[A-Za-z0-9_.:\-]{1,80}\Z")


def parse(body: bytes) -> dict[str, Any]:
    """A JSON object. Raises ProviderContractError, whose message tells nothing of the content."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise ProviderContractError("the reply is no JSON") from error
    return as_object(value, "the reply")


def refuse_page(content_type: str | None) -> None:
    """Raises ProviderContractError for HTML where a stream was due: something on the way has answered in the provider's place.

    >>> refuse_page("text/event-stream"), refuse_page(None)
    (None, None)
    """
    if content_type is not None and content_type.partition(";")[0].strip().lower() == "text/html":
        raise ProviderContractError("the reply is a page of HTML")


def as_object(value: Any, where: str) -> dict[str, Any]:
    if isinstance(value, dict):
        return value
    raise ProviderContractError(f"{where} is no object")


def as_list(value: Any, where: str) -> list[Any]:
    """The list; null counts as empty.

    >>> as_list(None, "choices")
    []
    """
    if value is None:
        return []
    if isinstance(value, list):
        return value
    raise ProviderContractError(f"{where} is no list")


def objects(value: Any, where: str) -> list[dict[str, Any]]:
    return [as_object(item, f"an item of {where}") for item in as_list(value, where)]


def text(value: Any, where: str) -> str | None:
    """The text; null and the empty text count as none.

    >>> text("", "content") is None
    True
    """
    if value is None or value == "":
        return None
    if isinstance(value, str):
        return value
    raise ProviderContractError(f"{where} is no text")


def identifier(value: Any) -> str | None:
    """A short word of the provider's that may stand in a message of ours: prose could quote the prompt or the key.

    >>> identifier("rate_limit_exceeded"), identifier("Incorrect API key: sk-123")
    ('rate_limit_exceeded', None)
    """
    return value if isinstance(value, str) and _IDENTIFIER.match(value) else None


def vector(value: Any, where: str) -> tuple[float, ...]:
    """An embedding. Raises ProviderContractError when it is empty or holds anything but numbers."""
    numbers = as_list(value, where)
    if not numbers or not all(type(n) in (float, int) for n in numbers):
        raise ProviderContractError(f"{where} is no vector of numbers")
    return tuple(float(n) for n in numbers)


def vectors(values: list[Any], *, wanted: int) -> tuple[tuple[float, ...], ...]:
    """Embeddings, one an input text, all of one length. Raises ProviderContractError."""
    found = tuple(vector(value, "an embedding") for value in values)
    if len(found) != wanted:
        raise ProviderContractError(f"{len(found)} embeddings came for {wanted} inputs")
    if len({len(v) for v in found}) > 1:
        raise ProviderContractError("the embeddings differ in length")
    return found
