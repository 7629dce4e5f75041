"""POST /v1/requests/{id}/cancel."""

import asyncio

from aiokafka.errors import KafkaError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from processors.api.refusals import RETRY_AFTER_S, Refusal
from schemas.keys import KeyRole
from streams.edge.door import Door
from streams.edge.lineage import Lineages
from streams.edge.native import found
from streams.edge.principal import Refused

CANCEL = "/v1/requests/{request_id}/cancel"
_TOLD_WITHIN_S = 3.0
_CANCELLED = "cancelled"


class CancelPath:
    """Cancels one request by its id."""

    def __init__(self, door: Door, lineages: Lineages) -> None:
        self._door = door
        self._lineages = lineages

    def routes(self) -> list[Route]:
        return [Route(CANCEL, self._cancel, methods=["POST"])]

    async def _cancel(self, http: Request) -> Response:
        """200 when it is cancelled, 202 while that is under way. Raises Refused: 404, and 409 for one that was answered."""
        tenant = self._door.admit(http, KeyRole.PUBLISH).tenant
        request_id = http.path_params["request_id"]
        known = await found(self._lineages, tenant, request_id)
        if (final := known.final) is None:
            with self._door.mailbox.waiting(tenant, request_id) as waiting:
                await self._ask(tenant, request_id)
                try:
                    async with asyncio.timeout(_TOLD_WITHIN_S):
                        final = await waiting.final()
                except TimeoutError:
                    return JSONResponse({"request_id": request_id, "status": "cancelling"}, 202)
        if final.error is None or final.error.kind != _CANCELLED:
            message = f"the request was answered before, with status {final.status.value!r}: there is nothing left to cancel"
            raise Refused(Refusal(409, "already_answered", message))
        return JSONResponse({"request_id": request_id, "status": _CANCELLED, "cost_nanousd": final.cost_nanousd})

    async def _ask(self, tenant: str, request_id: str) -> None:
        try:
            await self._door.cancelling.cancel(tenant, request_id)
        except (KafkaError, TimeoutError) as error:
            message = "the log did not take the cancellation in time: try again"
            raise Refused(Refusal(503, "log_unavailable", message, retry_after_s=RETRY_AFTER_S)) from error
