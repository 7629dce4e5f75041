"""`GET /v1/costs`: what was spent, exactly, from the cost totals."""

import asyncio

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from schemas.keys import KeyRole
from streams.decoding import dumps
from streams.edge.costs_query import CostQuery
from streams.edge.costs_totals import CostTotals
from streams.edge.door import Door
from streams.edge.operations_following import OnDemand


class Costs:
    """The handler. A key sees its own tenant's costs; with the role `admin`, everybody's."""

    def __init__(self, door: Door, totals: OnDemand[CostTotals]) -> None:
        self._door = door
        self._totals = totals

    def routes(self) -> list[Route]:
        return [Route("/v1/costs", self._costs)]

    async def _costs(self, http: Request) -> Response:
        query = CostQuery.of(http.query_params, self._door.admit(http, KeyRole.READ, KeyRole.ADMIN))
        totals = await (await self._totals.get()).by_key()
        answer = await asyncio.to_thread(query.answer, totals.values())
        return Response(dumps(answer), media_type="application/json")
