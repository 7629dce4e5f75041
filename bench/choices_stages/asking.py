"""Publishes requests and reads their final responses, with the time that each took."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from driver import tail

from schemas.outcomes import InferenceResponse
from schemas.requests import InferenceRequest
from schemas.serde import Serde
from streams import topics
from streams.publisher import Outgoing, Publisher


@dataclass(frozen=True, slots=True)
class Answer:
    """A final response as its sender met it: `took_s` from before it was published until it was read, committed."""

    response: InferenceResponse
    took_s: float


class Asker:
    """Asks in the event loop of the benchmark: for rates and numbers in flight that leave the loop idle most of the time."""

    def __init__(self, bootstrap_servers: str) -> None:
        serde = Serde()
        self._bootstrap_servers = bootstrap_servers
        self._encode, self._decode = serde.of(InferenceRequest).encode, serde.of(InferenceResponse).decode
        self._waiting: dict[str, tuple[float, asyncio.Future[Answer]]] = {}

    async def __aenter__(self) -> Self:
        self._responses = await tail(self._bootstrap_servers, topics.RESPONSES)
        self._publisher = await Publisher(bootstrap_servers=self._bootstrap_servers, client_id="bench-asker").__aenter__()
        self._reading = asyncio.create_task(self._read(), name="responses")
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._reading.cancel()
        with suppress(asyncio.CancelledError):
            await self._reading
        await self._publisher.__aexit__(kind, error, trace)
        await self._responses.stop()

    async def ask(self, request: InferenceRequest) -> Answer:
        """Raises TimeoutError when no answer comes: `within_s` of `load` bounds it there."""
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        value = self._encode(request)
        self._waiting[request.request_id] = time.perf_counter(), future
        await self._publisher.send_all([Outgoing(topics.REQUESTS, request.tenant, value)])
        return await future

    async def load(self, requests: Sequence[InferenceRequest], *, per_s: float, within_s: float) -> list[Answer]:
        """The answers to all, published `per_s` a second whatever comes back; `within_s` is for those left after the last.

        Raises TimeoutError when some are still without an answer then.
        """
        begun_s, asked = time.monotonic(), []
        for number, request in enumerate(requests):
            await asyncio.sleep(max(0.0, begun_s + number / per_s - time.monotonic()))
            asked.append(asyncio.create_task(self.ask(request)))
        async with asyncio.timeout(within_s):
            return list(await asyncio.gather(*asked))

    async def in_turn(self, requests: Sequence[InferenceRequest], *, in_flight: int, within_s: float) -> list[Answer]:
        """The answers to all, `in_flight` at a time. Raises TimeoutError when that takes longer than `within_s`."""
        left, answers = iter(requests), []

        async def one_after_another() -> None:
            answers.extend([await self.ask(request) for request in left])

        async with asyncio.timeout(within_s), asyncio.TaskGroup() as group:
            for _ in range(in_flight):
                group.create_task(one_after_another())
        return answers

    async def _read(self) -> None:
        while True:
            batches = await self._responses.getmany(timeout_ms=500)
            now_s = time.perf_counter()
            for records in batches.values():
                for record in records:
                    if (waiting := self._waiting.pop(record.key.decode(), None)) is not None:
                        sent_s, future = waiting
                        if not future.done():
                            future.set_result(Answer(self._decode(record.value), now_s - sent_s))
