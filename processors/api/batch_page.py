"""Lists as OpenAI's clients page through them: by the id of the last one they have.

Source: OpenAI's API reference, "List files", "List batch"; `SyncCursorPage` of its SDK.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from processors.api.bad_request import BadRequest

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which part of a list, and in which order."""

    limit: int
    after: str | None
    newest_first: bool


def wanted(query: Mapping[str, str], *, limit: int, most: int) -> Wanted:
    """What the query asks for; `limit` without its own. Raises BadRequest."""
    given = query.get("limit", str(limit))
    if not (given.isascii() and given.isdecimal() and 1 <= int(given[:9]) <= most):
        raise BadRequest(f"`limit` must be a number from 1 to {most}", "limit")
    order = query.get("order", "desc")
    if order not in {"asc", "desc"}:
        raise BadRequest("`order` must be asc or desc", "order")
    return Wanted(int(given[:9]), query.get("after") or None, order == "desc")


def page(items: Sequence[T], id_of: Callable[[T], str], shape: Callable[[T], dict[str, Any]], wish: Wanted) -> dict[str, Any]:
    """One page of a list whose ids sort by their time. An `after` that is gone still says where to go on."""
    ordered = sorted(items, key=id_of, reverse=wish.newest_first)
    if (after := wish.after) is not None:
        ordered = [item for item in ordered if (id_of(item) < after if wish.newest_first else id_of(item) > after)]
    data = [shape(item) for item in ordered[: wish.limit]]
    return {
        "object": "list",
        "data": data,
        "first_id": data[0]["id"] if data else None,
        "last_id": data[-1]["id"] if data else None,
        "has_more": len(ordered) > wish.limit,
    }
