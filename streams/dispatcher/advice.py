"""What comes to the lanes of this process beside their inputs: news of deployments, and of requests nobody wants any longer."""

from collections.abc import Iterable
from typing import Protocol

from processors.dispatch.state import request_key


class Advisable(Protocol):
    def advise(self, deployment: str, *, down: bool) -> None: ...

    def cancel(self, request_key: str) -> None: ...


class Advice:
    """Tells every lane of circuits that open and close elsewhere; a lane that comes later hears of those that are open.

    Cancelled requests are told to all lanes, as nobody knows who has them; a lane that comes later looks them up itself.
    """

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

    def cancel(self, tenant: str, request_id: str) -> None:
        for lane in self._lanes:
            lane.cancel(request_key(tenant, request_id))

    def add(self, lane: Advisable) -> None:
        self._lanes.append(lane)
        for deployment in sorted(self._down):
            lane.advise(deployment, down=True)

    def remove(self, lanes: Iterable[Advisable]) -> None:
        gone = set(map(id, lanes))
        self._lanes = [lane for lane in self._lanes if id(lane) not in gone]
