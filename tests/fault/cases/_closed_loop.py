"""A load that is bound by the pipeline: as many requests are open at any time, and the next is sent when one was answered."""

import asyncio
import time

from tests.fault.load import Load, mixed
from tests.fault.rig import Rig

_LOOK_EVERY_S = 0.01


class ClosedLoop(Load):
    """`async with closed_loop(rig, open_requests)`, until `stop()`."""

    def __init__(self, rig: Rig, open_requests: int) -> None:
        super().__init__(
            rig.stack.bootstrap_servers, rig._ledger.acknowledged_log, count=1_000_000, per_s=1.0, make=mixed, patience_s=60.0
        )
        self._rig, self._open_requests = rig, open_requests
        self._open: set[str] = set()

    def finals_per_s(self, since: float, until: float | None = None) -> float:
        """How many of its requests were answered a second, between two Unix times."""
        until = time.time() if until is None else until
        finals = [finals[0] for request_id, finals in self._rig.seen.finals.items() if request_id in self.sent_at]
        return sum(since <= final.read_at < until for final in finals) / (until - since)

    async def _send_all(self) -> None:
        async with asyncio.TaskGroup() as sends:
            while self._next < self._count:
                self._open = {r for r in self._open if r not in self._rig.seen.finals}
                for _ in range(self._open_requests - len(self._open)):
                    request = self._make(self.name, self._next)
                    self._next += 1
                    self._open.add(request.request_id)
                    sends.create_task(self._send(request))
                await asyncio.sleep(_LOOK_EVERY_S)


def closed_loop(rig: Rig, open_requests: int) -> ClosedLoop:
    load = ClosedLoop(rig, open_requests)
    rig.loads.append(load)
    return load
