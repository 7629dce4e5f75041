"""OpenAI's paths: chat completions, completions, embeddings, models."""

import time
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from processors.api.bad_request import BadRequest
from processors.api.named import Named
from processors.api.openai_request import from_openai
from processors.api.openai_response import as_base64, completion
from processors.api.openai_stream import OpenAiStream
from processors.api.rate_limits import openai_limits
from processors.api.refusals import Refusal
from processors.route.catalogue import AUTO
from schemas.keys import KeyRole
from schemas.requests import Operation
from streams.edge.answering import not_askable, told, whole_answer
from streams.edge.body import read_object
from streams.edge.door import Door
from streams.edge.principal import Refused
from streams.edge.streamed import streaming

_BEGUN_S = int(time.time())


class OpenAi:
    """The handlers. What they raise as Refused is answered in OpenAI's shape."""

    def __init__(self, door: Door) -> None:
        self._door = door

    def routes(self) -> list[Route]:
        asking = [
            Route(path, self._ask, methods=["POST"]) for path in ("/v1/chat/completions", "/v1/completions", "/v1/embeddings")
        ]
        return [*asking, Route("/v1/models", self._models), Route("/v1/models/{model:path}", self._model)]

    async def _ask(self, http: Request) -> Response:
        principal = self._door.admit(http, KeyRole.PUBLISH)
        body = await read_object(http)
        try:
            request = from_openai(http.url.path, body, request_id=self._door.request_id(http), tenant=principal.tenant)
        except BadRequest as bad:
            raise not_askable(bad) from bad
        named = Named(request.request_id, int(time.time()), request.model)
        if request.stream:
            options = body.get("stream_options")
            usage = isinstance(options, dict) and bool(options.get("include_usage"))
            shape = OpenAiStream(named, chat=request.operation is Operation.CHAT, include_usage=usage)
            return await streaming(self._door, http, request, shape)
        response = await whole_answer(self._door, http, request)
        whole = completion(response, named)
        if request.operation is Operation.EMBEDDINGS and body.get("encoding_format") == "base64":
            whole = as_base64(whole)
        return told(whole, response, openai_limits(self._door.runtime.catalogue.deployment(response.deployment or "")))

    async def _models(self, http: Request) -> Response:
        self._door.admit(http, KeyRole.PUBLISH, KeyRole.READ)
        names = self._names()
        data = [_model(http, name) for name in names]
        if _speaks_anthropic(http):
            return JSONResponse({"data": data, "has_more": False, "first_id": names[0], "last_id": names[-1]})
        return JSONResponse({"object": "list", "data": data})

    async def _model(self, http: Request) -> Response:
        self._door.admit(http, KeyRole.PUBLISH, KeyRole.READ)
        name = http.path_params["model"]
        if name not in self._names():
            raise Refused(
                Refusal(404, "unknown_model", f"there is no model {name[:100]!r}; `GET /v1/models` lists them", "model")
            )
        return JSONResponse(_model(http, name))

    def _names(self) -> list[str]:
        deployments = self._door.runtime.catalogue.deployments
        return [AUTO, *sorted({each.name for each in deployments} | {each.model for each in deployments})]


def _speaks_anthropic(http: Request) -> bool:
    """Both APIs have this path; only clients of Anthropic's send this header."""
    return "anthropic-version" in http.headers


def _model(http: Request, name: str) -> dict[str, Any]:
    if _speaks_anthropic(http):
        created_at = datetime.fromtimestamp(_BEGUN_S, UTC).isoformat()
        return {"type": "model", "id": name, "display_name": name, "created_at": created_at, "lifecycle": "active"}
    return {"id": name, "object": "model", "created": _BEGUN_S, "owned_by": "penstock"}
