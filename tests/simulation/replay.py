"""Promise 7: the same inputs at the same times give the same records. What went in is noted, and folded again from scratch."""

import copy
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from processors.dispatch.decide import timers_of
from processors.dispatch.state import LaneState, request_key
from streams.dispatcher.cycle import Cycle, Folded
from streams.dispatcher.timers import Timers
from streams.publisher import Outgoing
from tests.simulation.broker import Record
from tests.simulation.world import PRICES, PROVIDERS, World

Folds = tuple[list[Record], list[Record], datetime, datetime | None]
Advice = tuple[str, bool, datetime]
Cancellation = tuple[list[tuple[str, str]], datetime]


@dataclass(slots=True)
class Episode:
    """One life of a lane: the state it began with, and then what it folded, and what it wrote at each commit."""

    partition: int
    begin: LaneState
    serde: Any
    policy: Any
    inputs: list[Folds | Advice | Cancellation | None] = field(default_factory=list)
    """What was folded, in its order; None for a commit."""
    written: list[list[Outgoing]] = field(default_factory=list)

    @classmethod
    def of(cls, partition: int, state: LaneState, world: World) -> "Episode":
        return cls(partition, copy.deepcopy(state), world.serde, world.schedule.policy)

    def fold(self, routed: list[Record], reported: list[Record], now: datetime, due_until: datetime | None) -> None:
        self.inputs.append((routed, reported, now, due_until))

    def advise(self, deployment: str, now: datetime, *, down: bool) -> None:
        self.inputs.append((deployment, down, now))

    def cancel(self, keys: list[tuple[str, str]], now: datetime) -> None:
        self.inputs.append((keys, now))

    def commit(self, outgoing: list[Outgoing]) -> None:
        self.inputs.append(None)
        self.written.append(outgoing)

    def replayed(self) -> list[list[Outgoing]]:
        """What a lane that begins alike writes for the same inputs."""
        timers = Timers()
        timers.set_all(timers_of(self.begin))
        known: set[tuple[str, str]] = set()
        cycle = Cycle(
            self.partition,
            self.begin,
            timers,
            serde=self.serde,
            policy=self.policy,
            prices=PRICES,
            cancelled=lambda tenant, request_id: (tenant, request_id) in known,
        )
        cycle.providers = frozenset(PROVIDERS)
        folded, written = Folded(), []
        for arrived in self.inputs:
            if arrived is None:
                written.append(cycle.outgoing(folded))
                folded = Folded()
            elif len(arrived) == 3:
                deployment, down, now = arrived
                cycle.advise(folded, deployment, down=down, now=now)
            elif len(arrived) == 2:
                keys, now = arrived
                known.update(keys)
                cycle.cancel(folded, [request_key(*key) for key in keys], now=now)
            else:
                routed, reported, now, due_until = arrived
                cycle.fold(folded, routed, reported, now=now, due_until=due_until)
        return written


def judge_replay(world: World) -> None:
    for episode in world.recorded or ():
        if episode.replayed() != episode.written:
            world.problem(f"promise 7: a replay of the same inputs on partition {episode.partition} wrote other records")
