"""How many calls of each deployment are in flight, and how many may be."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from schemas.deployments import Deployment

UNKNOWN_DEPLOYMENT_CONCURRENCY = 16
"""For a deployment that orders name and this worker's catalogue does not: a roll-out that has not reached everybody."""
WAITING = 256


class Gate:
    """Lets `bound` calls through at a time, first come, first served."""

    def __init__(self, bound: int) -> None:
        self.bound = bound
        self.in_flight = 0
        self._free = asyncio.Semaphore(bound)

    @asynccontextmanager
    async def passing(self) -> AsyncIterator[None]:
        async with self._free:
            self.in_flight += 1
            try:
                yield
            finally:
                self.in_flight -= 1


class Gates:
    """One gate a deployment."""

    def __init__(self, deployments: Iterable[Deployment]) -> None:
        self._gates = {d.name: Gate(d.max_concurrency) for d in deployments}

    def of(self, deployment: str) -> Gate:
        gate = self._gates.get(deployment)
        if gate is None:
            gate = self._gates[deployment] = Gate(UNKNOWN_DEPLOYMENT_CONCURRENCY)
        return gate

    @property
    def bound(self) -> int:
        """Calls in flight at most."""
        return sum(gate.bound for gate in self._gates.values()) or UNKNOWN_DEPLOYMENT_CONCURRENCY

    @property
    def admitted(self) -> int:
        """Orders admitted at most: those in flight, and some that wait, lest one deployment's queue starve another."""
        return 2 * self.bound + WAITING
