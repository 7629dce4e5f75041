"""The page at `/`: files of this package as they are. It holds nothing of anybody: what it shows it asks for, with a key."""

import hashlib
from dataclasses import dataclass
from importlib.resources import files

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

INDEX = "index.html"
_TYPES = {"html": "text/html; charset=utf-8", "css": "text/css; charset=utf-8", "js": "text/javascript", "svg": "image/svg+xml"}
HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-cache",
}


@dataclass(frozen=True, slots=True)
class _File:
    body: bytes
    media_type: str
    etag: str


class Page:
    """The handlers."""

    def __init__(self) -> None:
        self._files = {
            found.name: _read(found.name, found.read_bytes()) for found in files("streams.edge").joinpath("page").iterdir()
        }

    def routes(self) -> list[Route]:
        return [Route("/", self._index, methods=["GET"]), Route("/page/{name}", self._file, methods=["GET"])]

    async def _index(self, http: Request) -> Response:
        return self._answer(http, INDEX)

    async def _file(self, http: Request) -> Response:
        return self._answer(http, http.path_params["name"])

    def _answer(self, http: Request, name: str) -> Response:
        """Raises HTTPException, 404, for a file that is none of the page's."""
        file = self._files.get(name)
        if file is None:
            raise HTTPException(404, "there is no such file")
        headers = {**HEADERS, "etag": file.etag}
        if http.headers.get("if-none-match") == file.etag:
            return Response(status_code=304, headers=headers)
        return Response(file.body, headers=headers, media_type=file.media_type)


def _read(name: str, body: bytes) -> _File:
    ending = name.rpartition(".")[2]
    return _File(body, _TYPES.get(ending, "text/plain; charset=utf-8"), f'"{hashlib.sha256(body).hexdigest()[:32]}"')
