"""OpenAI's responses: text and function tools, nothing of which is kept."""

import time

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from processors.api.bad_request import BadRequest
from processors.api.named import Named
from processors.api.rate_limits import openai_limits
from processors.api.responses_request import from_responses
from processors.api.responses_response import Answering
from processors.api.responses_stream import ResponsesStream
from schemas.calls import Output
from schemas.keys import KeyRole
from streams.edge.answering import not_askable, told, whole_answer
from streams.edge.body import read_object
from streams.edge.door import Door
from streams.edge.streamed import streaming


class Responses:
    """The handler. What it raises as Refused is answered in OpenAI's shape."""

    def __init__(self, door: Door) -> None:
        self._door = door

    def routes(self) -> list[Route]:
        return [Route("/v1/responses", self._ask, methods=["POST"])]

    async def _ask(self, http: Request) -> Response:
        principal = self._door.admit(http, KeyRole.PUBLISH)
        body = await read_object(http)
        try:
            request = from_responses(body, request_id=self._door.request_id(http), tenant=principal.tenant)
        except BadRequest as bad:
            raise not_askable(bad) from bad
        answering = Answering(Named(request.request_id, int(time.time()), request.model), body)
        if request.stream:
            return await streaming(self._door, http, request, ResponsesStream(answering))
        response = await whole_answer(self._door, http, request)
        whole = answering.ended(response, answering.items(response.output or Output()))
        return told(whole, response, openai_limits(self._door.runtime.catalogue.deployment(response.deployment or "")))
