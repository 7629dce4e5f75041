"""The native interface: a request published, its state and lineage, its events."""

import asyncio
import contextlib
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from processors.api.bad_request import BadRequest
from processors.api.refusals import Refusal
from schemas.keys import KeyRole
from schemas.outcomes import InferenceResponse
from streams import clock
from streams.decoding import dumps
from streams.edge.asking import Asked, facts
from streams.edge.body import read_object
from streams.edge.door import Door
from streams.edge.events import Events
from streams.edge.idempotency_asking import AskingOnce
from streams.edge.lineage import Known, Lineages, shown
from streams.edge.native_request import request_of, wait_s, with_deadline
from streams.edge.principal import Principal, Refused

REQUESTS = "/v1/requests"
REQUEST = "/v1/requests/{request_id}"
EVENTS = "/v1/requests/{request_id}/events"


class Native:
    """The handlers. What they raise as Refused is answered as a problem of RFC 9457."""

    def __init__(self, door: Door, asking: AskingOnce, lineages: Lineages, events: Events) -> None:
        self._door = door
        self._asking = asking
        self._lineages = lineages
        self._events = events

    def routes(self) -> list[Route]:
        return [
            Route(REQUESTS, self._submit, methods=["POST"]),
            Route(REQUEST, self._show, methods=["GET"]),
            Route(EVENTS, self._tell, methods=["GET"]),
        ]

    async def _submit(self, http: Request) -> Response:
        principal = self._door.admit(http, KeyRole.PUBLISH)
        body = await read_object(http)
        try:
            request = request_of(body, request_id=self._door.request_id(http), tenant=principal.tenant)
            headers = with_deadline(http.headers, request.deadline, clock.now())
        except BadRequest as bad:
            raise Refused(Refusal(400, "invalid_request", str(bad), bad.parameter)) from bad
        patience_s = wait_s(http.headers)
        with self._asking.waiting(request) as waiting:
            asked = await self._asking.publish_or_join(request, waiting, headers)
            final = None if patience_s is None else await _final_within(asked, patience_s)
        answer = {"location": f"{REQUESTS}/{request.request_id}"}
        if patience_s is not None:
            answer["preference-applied"] = f"wait={patience_s:.0f}"
        if final is not None:
            return _json(final, headers={**answer, **facts(final)})
        accepted = {"request_id": request.request_id, "status": "queued", "events": f"{answer['location']}/events"}
        return _json(accepted, 202, answer)

    async def _show(self, http: Request) -> Response:
        known = await self._known(http)
        lineage = await self._lineages.lineage(known)
        return _json(shown(known, lineage))

    async def _tell(self, http: Request) -> Response:
        def may() -> Principal:
            return self._door.admit(http, KeyRole.PUBLISH, KeyRole.READ)

        tenant, place = may().tenant, http.headers.get("last-event-id")
        return await self._events.response(tenant, http.path_params["request_id"], place, may)

    async def _known(self, http: Request) -> Known:
        tenant = self._door.admit(http, KeyRole.PUBLISH, KeyRole.READ).tenant
        return await found(self._lineages, tenant, http.path_params["request_id"])


async def found(lineages: Lineages, tenant: str, request_id: str) -> Known:
    """The tenant's request. Raises Refused, 404, alike for an unknown one and another tenant's."""
    known = await lineages.find(tenant, request_id)
    if known is None:
        message = f"there is no request {request_id[:100]!r}: check the id; the log keeps requests for a week"
        raise Refused(Refusal(404, "unknown_request", message))
    return known


async def _final_within(asked: Asked, patience_s: float) -> InferenceResponse | None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(patience_s):
            return await asked.final()
    return None


def _json(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    body = orjson.dumps(value) if isinstance(value, dict) and "lineage" not in value else dumps(value)
    return Response(body, status, headers, "application/json")
