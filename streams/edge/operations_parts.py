"""What operators and their tools need of one process, put together: what it follows, and its routes."""

import contextlib
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass

from starlette.routing import BaseRoute

from streams.agents.health_view import HealthView
from streams.agents.routing_in_force import RoutingInForce
from streams.edge.config import Config
from streams.edge.costs import Costs
from streams.edge.costs_totals import CostTotals
from streams.edge.door import Door
from streams.edge.health_paths import HealthPaths, caught_up
from streams.edge.health_paths_broker import Broker
from streams.edge.operations import Operations
from streams.edge.operations_following import OnDemand
from streams.edge.operations_letters import Letters
from streams.edge.operations_schemas import SchemaPaths
from streams.edge.operations_tables import Tables
from streams.edge.rendered import Documents
from streams.edge.subjects import Subjects
from streams.runtime import Runtime

_LOOK_BACK_S = 900.0


@dataclass(frozen=True, slots=True)
class OperationsParts:
    """Its routes come of the door, and of all others: the OpenAPI document tells of every one that is mounted."""

    _broker: Broker
    _totals: OnDemand[CostTotals]
    _health: OnDemand[HealthView]
    _letters: OnDemand[Letters]
    _routing: OnDemand[RoutingInForce]

    def routes(self, door: Door, others: Iterable[BaseRoute]) -> list[BaseRoute]:
        """The others' routes, and behind them those for operators."""
        checks = {"kafka": self._broker.answers, "answers": caught_up(door.mailbox), "keys": caught_up(door.authority)}
        parts = (
            HealthPaths(checks),
            Operations(door, self._health),
            Costs(door, self._totals),
            Tables(door, self._totals, self._health, self._letters),
            Config(door, self._routing),
            SchemaPaths(Subjects(door.runtime.catalogue.providers)),
        )
        every = [*others, *(route for part in parts for route in part.routes())]
        return [*every, *Documents(every).routes()]


@contextlib.asynccontextmanager
async def open_operations(runtime: Runtime) -> AsyncIterator[OperationsParts]:
    """Nothing is followed before somebody asks."""
    async with (
        Broker(runtime).open() as broker,
        OnDemand(CostTotals(runtime), "the cost totals").open() as totals,
        OnDemand(HealthView(runtime, look_back_s=_LOOK_BACK_S), "what calls told of the deployments").open() as health,
        OnDemand(Letters(runtime), "alerts and dead letters").open() as letters,
        OnDemand(RoutingInForce(runtime), "changes of the configuration").open() as routing,
    ):
        yield OperationsParts(broker, totals, health, letters, routing)
