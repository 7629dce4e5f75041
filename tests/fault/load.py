"""The generator: requests at a rate, and an fsynced log of those that the broker acknowledged."""

import asyncio
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from aiokafka.errors import KafkaError

from schemas.requests import CacheMode, CachePolicy, InferenceRequest, Message, Preferences
from schemas.serde import Serde
from streams import topics
from streams.cli.sending import AcknowledgedLog
from streams.publisher import Outgoing, Publisher
from tests.fault import background
from tests.fault.case import ANTHROPIC

TENANTS = 7
_PAUSE_S = 0.2

Make = Callable[[str, int], InferenceRequest]


def mixed(name: str, number: int) -> InferenceRequest:
    """The nth request of a load: chat of several tenants, every second one streamed, every fifth pinned to Anthropic."""
    return InferenceRequest(
        request_id=f"{name}-{number}",
        tenant=f"tenant-{number % TENANTS}",
        model="auto",
        messages=(Message("user", f"[[sim out={8 + number % 33}]] Question {number} of {name}"),),
        preferences=Preferences(provider=ANTHROPIC) if number % 5 == 4 else Preferences(),
        cache=CachePolicy(CacheMode.OFF),
        stream=number % 2 == 1,
    )


class Load:
    """`count` requests, `per_s` a second, whatever becomes of them: `async with rig.load(...) as load`.

    Leaving the block waits until each is acknowledged, or given up after `patience_s` of refusals: the same request is sent
    again until the broker takes it. `acknowledged` and `given_up` hold request ids; `sent_at` Unix times.
    """

    def __init__(
        self, bootstrap_servers: str, log: Path, *, count: int, per_s: float, make: Make = mixed, patience_s: float = 60.0
    ) -> None:
        self.name = uuid.uuid4().hex[:8]
        self.acknowledged: dict[str, float] = {}
        self.given_up: list[str] = []
        self.refusals = 0
        self.sent_at: dict[str, float] = {}
        self._bootstrap_servers, self._path = bootstrap_servers, log
        self._count, self._per_s, self._make, self._patience_s = count, per_s, make, patience_s
        self._next = 0
        self._stopped = asyncio.Event()
        self._encode = Serde().of(InferenceRequest).encode

    async def __aenter__(self) -> Self:
        self._log = AcknowledgedLog(self._path)
        self._publisher = await Publisher(bootstrap_servers=self._bootstrap_servers, client_id="fault-load").__aenter__()
        self._sending = asyncio.create_task(self._send_all(), name="load")
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            if kind is None:
                await self._sending
            else:
                await background.end(self._sending)
        finally:
            await self._publisher.__aexit__(kind, error, trace)
            await self._log.close()

    def stop(self) -> None:
        """Send no more than what has been sent."""
        self.stop_after(0)

    def stop_after(self, requests: int) -> None:
        """Send no more once so many have been sent, which may be the case already."""
        self._count = min(self._count, requests)
        if self._next >= self._count:
            self._stopped.set()

    async def _send_all(self) -> None:
        begun_s = time.monotonic()
        async with asyncio.TaskGroup() as sends:
            while self._next < self._count:
                wait_s = begun_s + self._next / self._per_s - time.monotonic()
                try:
                    await asyncio.wait_for(self._stopped.wait(), max(wait_s, 0.0))
                except TimeoutError:
                    sends.create_task(self._send(self._make(self.name, self._next)))
                    self._next += 1

    async def _send(self, request: InferenceRequest) -> None:
        give_up_s = time.monotonic() + self._patience_s
        record = Outgoing(topics.REQUESTS, request.tenant, self._encode(request))
        self.sent_at.setdefault(request.request_id, time.time())
        while True:
            try:
                await self._publisher.send_all([record])
            except KafkaError:
                self.refusals += 1
                if time.monotonic() > give_up_s:
                    self.given_up.append(request.request_id)
                    return
                await asyncio.sleep(_PAUSE_S)
            else:
                self._log.add(request)
                self.acknowledged.setdefault(request.request_id, time.time())
                return
