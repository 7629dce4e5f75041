"""What the whole fleet has found out about deployments, for the lanes of this process."""

from collections.abc import Iterable
from typing import Protocol


class Advisable(Protocol):
    def advise(self, deployment: str, *, down: bool) -> None: ...


class Advice:
    """Tells every lane of circuits that open and close elsewhere; a lane that comes later hears of those that are open."""

    def __init__(self) -> None:
        self._down: set[str] = set()
        self._lanes: list[Advisable] = []

    def tell(self, deployment: str, down: bool) -> None:  # noqa: FBT001 - the health view calls it so
        if down:
            self._down.add(deployment)
        else:
            self._down.discard(deployment)
        for lane in self._lanes:
            lane.advise(deployment, down=down)

    def add(self, lane: Advisable) -> None:
        self._lanes.append(lane)
        for deployment in sorted(self._down):
            lane.advise(deployment, down=True)

    def remove(self, lanes: Iterable[Advisable]) -> None:
        gone = set(map(id, lanes))
        self._lanes = [lane for lane in self._lanes if id(lane) not in gone]
