"""The health of all deployments, as this process knows it: a follower of ai.health, without a group, whole in every process."""

import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace
from typing import Any

import structlog

from processors.health.fold import UNKNOWN, DeploymentHealth, fold
from schemas.errors import RecordError
from schemas.health import HealthEvent
from streams import clock, topics
from streams.follower import Follower
from streams.runtime import Runtime

log = structlog.get_logger(__name__)

LOOK_BACK_S = 300.0
"""Circuits open for a minute at most: five tell all that still matters."""

OnCircuit = Callable[[str, bool], None]
"""Is told a deployment and whether it is down: True when its circuit has opened, False when it has closed."""


class HealthView:
    """`deployments` is the latest; it changes in place as events arrive, a quarter of a second after they were written."""

    def __init__(self, runtime: Runtime, *, look_back_s: float = LOOK_BACK_S) -> None:
        self._codec = runtime.serde.of(HealthEvent)
        self._deployments: dict[str, DeploymentHealth] = {}
        self._down: frozenset[str] = frozenset()
        self._listeners: list[OnCircuit] = []
        self._follower = Follower(
            runtime,
            "health",
            {topics.HEALTH: look_back_s},
            self._apply,
            started_over=self._deployments.clear,
            batch_done=self._tell,
        )
        self.unreadable = 0

    @property
    def deployments(self) -> Mapping[str, DeploymentHealth]:
        return self._deployments

    @property
    def caught_up(self) -> bool:
        """Whether all has been read that stood in the topic at the start."""
        return self._follower.caught_up.is_set()

    def on_circuit(self, listener: OnCircuit) -> None:
        """Tell the listener of every circuit that opens or closes from now on, and at once of those that are open.

        It is called in the event loop and must not wait. A circuit that is half open still counts as down: a call or a probe
        closes it. One that opened and closed within a batch is not told.
        """
        self._listeners.append(listener)
        for deployment in sorted(self._down):
            listener(deployment, True)

    @contextlib.asynccontextmanager
    async def following(self, *, at_once: bool = False) -> AsyncIterator["HealthView"]:
        """Follow in the background; in the body the view has caught up, unless Kafka took over five seconds, or `at_once`."""
        async with self._follower.following(at_once=at_once):
            yield self

    def _apply(self, record: Any) -> None:
        try:
            event = self._codec.decode(record.value)
        except RecordError as error:
            self.unreadable += 1
            log.warning("health_event_unreadable", reason=error.reason)
            return
        if event.observed_at > (now := clock.now()):
            # A worker's clock is ahead: it must not outweigh, or outlast, what the others tell.
            event = replace(event, observed_at=now)
        self._deployments[event.deployment] = fold(self._deployments.get(event.deployment, UNKNOWN), event)

    def _tell(self) -> None:
        down = frozenset(name for name, health in self._deployments.items() if health.opened_at is not None)
        before, self._down = self._down, down
        for deployment in sorted(before ^ down):
            for listener in self._listeners:
                listener(deployment, deployment in down)
