"""Who watches, and what they are told: one fold of the log, and one message a second for all who watch the same."""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass, field

from processors.live.fold import Live
from processors.live.health import rows as health_rows
from processors.live.scope import Scope, Surroundings
from streams import clock
from streams.agents.health_view import HealthView
from streams.decoding import dumps
from streams.edge.live_following import Following
from streams.edge.live_lag import Lags
from streams.runtime import Runtime

LINGER_S = 60.0
"""The log is followed for so long after the last one has left: whoever loads a page anew is back by then."""
EVERY_S = 1.0


@dataclass(slots=True, eq=False)
class Audience:
    """Those who watch one scope. `update` belongs to `tick`; None: it would not be enough, and all is told anew."""

    scope: Scope
    viewers: int = 0
    tick: int = 0
    update: bytes | None = None
    _ticked: asyncio.Event = field(default_factory=asyncio.Event)

    def tell(self, update: bytes | None) -> None:
        self.tick, self.update = self.tick + 1, update
        self.wake()

    def wake(self) -> None:
        self._ticked.set()
        self._ticked = asyncio.Event()

    async def woken(self) -> None:
        await self._ticked.wait()


class Showing:
    """One stretch of watching: from the first viewer until a while after the last one."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._live = Live()
        self._following = Following(runtime, self._live)
        self._health = HealthView(runtime)
        self._lags = Lags(runtime)
        self._audiences: dict[str | None, Audience] = {}
        self._left_s = time.monotonic()
        self._ready = asyncio.Event()
        self.over = False

    @property
    def viewers(self) -> int:
        return sum(audience.viewers for audience in self._audiences.values())

    async def run(self) -> None:
        """Follow the log, until nobody has watched for a while."""
        try:
            async with self._following.following(), self._health.following(), self._lags.asking():
                self._live.advance(clock.now())
                for audience in self._audiences.values():
                    self._begin(audience.scope)
                self._ready.set()
                while self._audiences or time.monotonic() - self._left_s < LINGER_S:
                    await asyncio.sleep(EVERY_S)
                    self._tick()
                self.over = True
        finally:
            self.over = True
            self._ready.set()
            for audience in self._audiences.values():
                audience.wake()

    async def messages(self, tenant: str | None) -> AsyncGenerator[bytes, None]:
        """What one viewer is told while the showing lasts. Who reads slowly misses updates, and is told all anew."""
        with self._watched(tenant) as audience:
            await self._ready.wait()
            seen = -1
            while not self.over:
                if audience.tick == seen:
                    await audience.woken()
                elif audience.tick == seen + 1 and seen >= 0 and audience.update is not None:
                    seen = audience.tick
                    yield audience.update
                else:
                    seen = audience.tick
                    yield self._snapshot(audience.scope)

    @contextlib.contextmanager
    def _watched(self, tenant: str | None) -> Iterator[Audience]:
        if (audience := self._audiences.get(tenant)) is None:
            audience = self._audiences[tenant] = Audience(self._live.open(tenant))
            if self._ready.is_set():
                self._begin(audience.scope)
        audience.viewers += 1
        try:
            yield audience
        finally:
            audience.viewers -= 1
            if not audience.viewers:
                del self._audiences[tenant]
                self._live.close(tenant)
                self._left_s = time.monotonic()

    def _begin(self, scope: Scope) -> None:
        """A snapshot is told first: what stands there now is no news for the first update."""
        scope.update(clock.now(), self._around(scope))
        scope.anew = False

    def _tick(self) -> None:
        now = clock.now()
        self._live.advance(now)
        for audience in self._audiences.values():
            scope = audience.scope
            anew, scope.anew = scope.anew, False
            update = scope.update(now, self._around(scope))
            audience.tell(None if anew else _event("update", update))

    def _snapshot(self, scope: Scope) -> bytes:
        return _event("snapshot", scope.snapshot(clock.now(), self._around(scope)))

    def _around(self, scope: Scope) -> Surroundings:
        everybody = scope.tenant is None
        deployments = self._runtime.catalogue.deployments
        health = health_rows(deployments, self._health.deployments, clock.now(), loads=everybody)
        return Surroundings(health, self._lags.rows if everybody else None, partial=self._live.totals.partial)


def _event(name: str, data: object) -> bytes:
    return f"event: {name}\ndata: ".encode() + dumps(data) + b"\n"
