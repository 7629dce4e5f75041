"""`GET /v1/tables/{name}`: what is remembered between records, a page at a time."""

import asyncio
from bisect import bisect_right
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from processors.api.refusals import Refusal
from schemas.keys import KeyRole
from schemas.outcomes import DeadLetter
from streams import clock
from streams.agents.health_view import HealthView
from streams.decoding import dumps
from streams.edge.costs_query import tenant_of
from streams.edge.costs_totals import CostTotals
from streams.edge.door import Door
from streams.edge.operations_following import OnDemand
from streams.edge.operations_health import told
from streams.edge.operations_letters import Letters
from streams.edge.principal import Refused

_PAGE = 100
_MOST = 1_000
_SHOWN = tuple(field.name for field in fields(DeadLetter) if field.name not in {"value", "key", "headers"})
"""What was put aside may hold prompts; `penstock consume` shows it."""

Rows = list[tuple[str, Any]]
"""Each row after its key, which orders the table."""


@dataclass(frozen=True, slots=True)
class Table:
    """`rows` gives those of a tenant, or of all for None."""

    name: str
    holds: str
    rows: Callable[[str | None], Awaitable[Rows]]
    roles: tuple[KeyRole, ...] = (KeyRole.READ, KeyRole.ADMIN)


class Tables:
    """The handlers. A key sees its own tenant's rows; with the role `admin`, everybody's."""

    def __init__(
        self, door: Door, totals: OnDemand[CostTotals], health: OnDemand[HealthView], letters: OnDemand[Letters]
    ) -> None:
        self._door = door
        self._totals = totals
        self._health = health
        self._letters = letters
        tables = (
            Table("cost-totals", "what was spent, by lane, provider, model and hour", self._cost_totals),
            Table("health", "what calls and probes told of each deployment lately", self._deployments),
            Table("dead-letters", "the last 1,000 records that were put aside, without their bytes", self._dead_letters),
            Table("alerts", "the alerts that stand", self._alerts, (KeyRole.ADMIN,)),
        )
        self._tables: Mapping[str, Table] = {table.name: table for table in tables}

    def routes(self) -> list[Route]:
        return [Route("/v1/tables", self._list), Route("/v1/tables/{name}", self._page)]

    async def _list(self, http: Request) -> Response:
        principal = self._door.admit(http, KeyRole.READ, KeyRole.ADMIN)
        seen = [table for table in self._tables.values() if any(principal.may(role) for role in table.roles)]
        return _json({"tables": [{"name": table.name, "holds": table.holds} for table in seen]})

    async def _page(self, http: Request) -> Response:
        self._door.admit(http, KeyRole.READ, KeyRole.ADMIN)
        if (table := self._tables.get(name := http.path_params["name"])) is None:
            known = ", ".join(self._tables)
            raise Refused(Refusal(404, "unknown_table", f"there is no table {name[:60]!r}; there are {known}"))
        principal = self._door.admit(http, *table.roles)
        given = http.query_params
        most, after = _most(given.get("limit")), given.get("after", "")
        rows = await table.rows(tenant_of(given, principal))
        page, last = await asyncio.to_thread(_paged, rows, after, most)
        return _json({"table": table.name, "rows": page, "next": last})

    async def _cost_totals(self, tenant: str | None) -> Rows:
        totals = await (await self._totals.get()).by_key()
        return [(key.decode(errors="replace"), total) for key, total in totals.items() if tenant in {None, total.tenant}]

    async def _deployments(self, tenant: str | None) -> Rows:
        health, now = (await self._health.get()).deployments, clock.now()
        return [(name, {"deployment": name, **told(each, now, whole=tenant is None)}) for name, each in health.items()]

    async def _dead_letters(self, tenant: str | None) -> Rows:
        letters = (await self._letters.get()).dead_letters()
        return [
            (place, {name: getattr(letter, name) for name in _SHOWN})
            for place, letter in letters
            if tenant is None or letter.tenant == tenant
        ]

    async def _alerts(self, _: str | None) -> Rows:
        alerts = (await self._letters.get()).alerts()
        return [(f"{alert.kind}/{alert.subject}", alert) for alert in alerts]


def _most(limit: str | None) -> int:
    if limit is None:
        return _PAGE
    if not (limit.isascii() and limit.isdecimal() and 0 < int(limit[:6]) <= _MOST):
        raise Refused(Refusal(400, "invalid_request", f"`limit` must be a whole number from 1 to {_MOST}", "limit"))
    return int(limit)


def _paged(rows: Rows, after: str, most: int) -> tuple[list[Any], str | None]:
    """The rows after a key, so many at most; and the last one's key, None where nothing follows."""
    rows.sort(key=lambda row: row[0])
    begin = bisect_right(rows, after, key=lambda row: row[0])
    page = rows[begin : begin + most]
    return [row for _, row in page], page[-1][0] if begin + most < len(rows) else None


def _json(value: Any) -> Response:
    return Response(dumps(value), media_type="application/json")
