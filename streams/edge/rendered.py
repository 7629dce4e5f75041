"""The documents over HTTP: as JSON, and each as a page that needs nothing from anywhere else."""

from collections.abc import Iterable
from functools import cached_property

import orjson
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Route

from streams.edge.asyncapi import asyncapi
from streams.edge.openapi import openapi
from streams.edge.rendered_asyncapi import topics_page
from streams.edge.rendered_html import POLICY
from streams.edge.rendered_openapi import paths_page

_KEPT = {"cache-control": "public, max-age=300"}
_PAGE = {**_KEPT, "content-security-policy": POLICY}


class Documents:
    """The handlers, over the routes that an edge has. Without a key: the documents name nothing but what every Penstock has."""

    def __init__(self, others: Iterable[BaseRoute]) -> None:
        self._others = tuple(others)

    def routes(self) -> list[Route]:
        return [
            Route("/openapi.json", self._openapi),
            Route("/asyncapi.json", self._asyncapi),
            Route("/docs", self._paths),
            Route("/docs/topics", self._topics),
        ]

    @cached_property
    def _json(self) -> bytes:
        return orjson.dumps(openapi([*self._others, *self.routes()]))

    @cached_property
    def _page(self) -> str:
        return paths_page(orjson.loads(self._json))

    async def _openapi(self, _: Request) -> Response:
        return Response(self._json, media_type="application/json", headers=_KEPT)

    async def _asyncapi(self, _: Request) -> Response:
        return Response(orjson.dumps(asyncapi()), media_type="application/json", headers=_KEPT)

    async def _paths(self, _: Request) -> Response:
        return HTMLResponse(self._page, headers=_PAGE)

    async def _topics(self, _: Request) -> Response:
        return HTMLResponse(topics_page(asyncapi()), headers=_PAGE)
