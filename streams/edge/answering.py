"""Answers as a whole: publish, wait, and tell what is known besides."""

from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from processors.api.bad_request import BadRequest
from processors.api.refusals import Refusal
from schemas.outcomes import InferenceResponse
from schemas.requests import InferenceRequest
from streams.edge.asking import answered, facts
from streams.edge.cancelling import cancels_on_leaving, unless_gone
from streams.edge.door import Door
from streams.edge.principal import Refused


async def whole_answer(door: Door, http: Request, request: InferenceRequest) -> InferenceResponse:
    """The response, if it holds an answer. Raises Refused."""
    cancels = cancels_on_leaving(http.headers)
    with door.asking.waiting(request) as waiting:
        asked = await door.asking.publish(request, waiting, http.headers)
        if not cancels:
            return answered(await asked.final())
        with door.cancelling.unless_answered(asked):
            return answered(await unless_gone(http, asked.final()))


def told(body: dict[str, Any], response: InferenceResponse, limits: dict[str, str]) -> Response:
    """The answer in the client's shape, with what its shape has no word for in headers."""
    return Response(orjson.dumps(body), media_type="application/json", headers={**facts(response), **limits})


def not_askable(bad: BadRequest) -> Refused:
    """What a body that cannot be read comes to."""
    return Refused(Refusal(400, "invalid_request", str(bad), bad.parameter))
