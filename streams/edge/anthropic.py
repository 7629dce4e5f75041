"""Anthropic's paths: messages, and counting their tokens."""

import time

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from processors.api.anthropic_request import from_anthropic
from processors.api.anthropic_response import message
from processors.api.anthropic_stream import AnthropicStream
from processors.api.bad_request import BadRequest
from processors.api.named import Named
from processors.api.rate_limits import anthropic_limits
from processors.classify import tokens
from schemas.keys import KeyRole
from schemas.requests import InferenceRequest
from streams.edge.answering import not_askable, told, whole_answer
from streams.edge.body import read_object
from streams.edge.door import Door
from streams.edge.principal import Principal
from streams.edge.streamed import streaming


class Anthropic:
    """The handlers. What they raise as Refused is answered in Anthropic's shape."""

    def __init__(self, door: Door) -> None:
        self._door = door

    def routes(self) -> list[Route]:
        return [
            Route("/v1/messages", self._ask, methods=["POST"]),
            Route("/v1/messages/count_tokens", self._count, methods=["POST"]),
        ]

    async def _ask(self, http: Request) -> Response:
        request = await self._read(http, self._door.admit(http, KeyRole.PUBLISH))
        named = Named(request.request_id, int(time.time()), request.model)
        if request.stream:
            return await streaming(self._door, http, request, AnthropicStream(named, tokens.of_request(request)))
        response = await whole_answer(self._door, http, request)
        deployment = self._door.runtime.catalogue.deployment(response.deployment or "")
        return told(message(response, named), response, anthropic_limits(deployment))

    async def _count(self, http: Request) -> Response:
        """Our estimate, the one that routing goes by; nothing is published."""
        request = await self._read(http, self._door.admit(http, KeyRole.PUBLISH, KeyRole.READ), counting=True)
        return JSONResponse({"input_tokens": tokens.of_request(request)})

    async def _read(self, http: Request, principal: Principal, *, counting: bool = False) -> InferenceRequest:
        body = await read_object(http)
        try:
            return from_anthropic(body, request_id=self._door.request_id(http), tenant=principal.tenant, counting=counting)
        except BadRequest as bad:
            raise not_askable(bad) from bad
