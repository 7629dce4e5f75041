"""The OpenAPI document of this edge, made of the routes that are mounted."""

from collections.abc import Iterable, Iterator
from functools import cache
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed
from typing import Any

from starlette.routing import BaseRoute, Route

from processors.api.openapi import document
from processors.api.openapi_table import SCHEMAS, TABLE

_DESCRIPTION = (
    "OpenAI's and Anthropic's paths for their own clients, a native interface, and what operators need, over the log. Errors "
    "have the shape of their path. `/ws` is a WebSocket; the topics are described at `/docs/topics`."
)
_NOT_SHOWN = frozenset({"HEAD", "OPTIONS"})


def openapi(routes: Iterable[BaseRoute]) -> dict[str, Any]:
    """The document of these routes; mounted files and WebSockets are none of its paths."""
    return document(mounted(routes), TABLE, SCHEMAS, version=version(), description=_DESCRIPTION)


def mounted(routes: Iterable[BaseRoute]) -> Iterator[tuple[str, str]]:
    """The methods and paths of the routes that belong to the interface."""
    for route in routes:
        if isinstance(route, Route) and route.include_in_schema:
            for method in sorted((route.methods or {"GET"}) - _NOT_SHOWN):
                yield method, route.path


@cache
def version() -> str:
    """Of the distribution that runs; `0` where the source runs without being installed."""
    try:
        return installed("penstock")
    except PackageNotFoundError:
        return "0"
