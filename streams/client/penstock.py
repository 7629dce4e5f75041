"""The face of the client."""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Mapping
from dataclasses import fields as dataclass_fields
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from aiokafka.errors import KafkaError

from schemas.cancellation import CancelRequested
from schemas.errors import MalformedRecord
from schemas.outcomes import InferenceResponse
from schemas.requests import InferenceRequest
from streams import clock, topics
from streams.broker_errors import in_words
from streams.client.connecting import Connection
from streams.client.consuming import Consumption, From
from streams.client.errors import NoAnswer, NotAcknowledged, NotCancelled, SentAgain
from streams.client.inbox import Inbox, Waiting
from streams.client.request_fields import checked, request_of
from streams.client.telling import Piece, Telling
from streams.ids import new_id
from streams.publisher import Outgoing, Publisher
from streams.settings import Settings
from streams.target import find_target

GRACE_S = 2.0
"""How long after its deadline a request's `expired` answer may take."""
LAST_CHUNKS_S = 2.0
"""How long the last chunks may come after the final response."""
MAX_UNACKNOWLEDGED = 1_000
"""Requests of one client on their way to the broker; with more, `publish` waits for room."""

Asked = InferenceRequest | Mapping[str, Any] | None


class Penstock:
    """A program's way to a Penstock over Kafka. Use it as an async context manager; one serves all tasks of a loop.

    `settings` as all of Penstock takes them; without, they come from the environment and `.env`, security and registry
    included, and where they name no Kafka, from the stack that `penstock up` runs on `data_dir`. `tenant` is that of requests
    that name none.

    Requests are given as an `InferenceRequest`, as a mapping of its fields, or as keyword arguments.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        bootstrap_servers: str | None = None,
        data_dir: Path | None = None,
        tenant: str = "default",
    ) -> None:
        self._settings = settings
        self._bootstrap_servers = bootstrap_servers
        self._data_dir = data_dir
        self._tenant = tenant
        self._services = contextlib.AsyncExitStack()
        self._consumptions: set[Consumption] = set()
        self._room = asyncio.Semaphore(MAX_UNACKNOWLEDGED)

    async def __aenter__(self) -> "Penstock":
        """Raises SettingsError when no Kafka is named or none answers."""
        settings = self._settings or find_target(self._bootstrap_servers, self._data_dir).settings
        async with contextlib.AsyncExitStack() as opening:
            self._connection = await Connection.open(settings)
            publisher = Publisher(
                bootstrap_servers=str(settings.bootstrap_servers),
                client_id=self._connection.client_id,
                security=settings.kafka_security(),
            )
            with in_words(settings):
                self._publisher = await opening.enter_async_context(publisher)
            self._inbox = Inbox(self._connection)
            opening.push_async_callback(self._inbox.close)
            opening.push_async_callback(self._close_consumptions)
            self._services = opening.pop_all()
        return self

    async def __aexit__(self, *failure: Any) -> None:
        await self._services.__aexit__(*failure)

    async def listen(self, *, chunks: bool = False) -> None:
        """Follow answers, and chunks, from now on, so that the first question does not wait for it. Raises SettingsError."""
        await self._inbox.open(chunks=chunks)

    async def publish(self, request: Asked = None, /, **fields: Any) -> str:
        """The request_id, when the broker has acknowledged the request: from then on it is owed one final response.

        Without a `request_id` a new one is made. Raises MalformedRecord for what is no request, and NotAcknowledged, which
        holds the request to publish again: sent twice under one id it is answered, and paid, once.
        """
        asked = self._request(request, fields)
        await self._publish(asked)
        return asked.request_id

    async def ask(self, request: Asked = None, /, *, timeout_s: float | None = None, **fields: Any) -> InferenceResponse:
        """The final response, whatever its `status`: `ok`, `error`, `expired` or `fallback`.

        Without a deadline of its own the request gets one, `timeout_s` from now (PENSTOCK_REQUEST_TIMEOUT_S): after it no call is
        begun for it. Raises as `publish` does, NoAnswer when nothing came in time, and SentAgain for an id that was used before.
        """
        asked, until_s = self._due(self._request(request, fields), timeout_s)
        async with self._inbox.waiting(asked, chunks=False) as waiting:
            await self._publish(asked)
            while True:
                if isinstance(piece := await _within(waiting, asked, until_s), InferenceResponse):
                    return _ended(piece)

    async def stream(
        self, request: Asked = None, /, *, timeout_s: float | None = None, **fields: Any
    ) -> AsyncGenerator[Piece, None]:
        """The answer while it is made: chunks in order, `Voided` for a call whose chunks do not count, the final response last.

        What was told and not voided is the whole answer. Of an answer from the cache nothing but the final response comes.
        Raises as `ask` does. A reader that lags far behind is voided what it missed; the final response has it.
        """
        asked, until_s = self._due(replace(self._request(request, fields), stream=True), timeout_s)
        telling = Telling()
        async with self._inbox.waiting(asked, chunks=True) as waiting:
            await self._publish(asked)
            final = None
            while final is None:
                piece = await _within(waiting, asked, until_s)
                if isinstance(piece, InferenceResponse):
                    final = _ended(piece)
                else:
                    for told in telling.on_chunk(piece):
                        yield told
            with contextlib.suppress(NoAnswer):
                last_s = time.monotonic() + LAST_CHUNKS_S
                while telling.lacks(final):
                    piece = await _within(waiting, asked, last_s)
                    for told in () if isinstance(piece, InferenceResponse) else telling.on_chunk(piece):
                        yield told
            for told in telling.on_final(final):
                yield told

    async def cancel(self, request_id: str, *, tenant: str | None = None) -> None:
        """Give up a request of the tenant (the client's, if none is named); return when the broker has acknowledged that.

        From then on, unless the request has been answered, it gets an `error` of kind `cancelled` for its one final response:
        whoever asks or streams it receives that, and no fallback stands in for it. A call under way is cut off at the provider
        and charged as an estimate; none is begun any more. Whether the wish came in time, the final response alone tells. Of a
        request that is answered, or that nobody knows, or that is another tenant's, it changes nothing. One that comes under
        an id that was cancelled within the last day is cancelled as it comes. To leave `ask` or `stream` cancels nothing.

        Raises MalformedRecord for an empty id or tenant, and NotCancelled when the broker does not acknowledge it.
        """
        wish = CancelRequested(request_id, self._tenant if tenant is None else tenant, clock.now())
        for name in ("request_id", "tenant"):
            if not getattr(wish, name):
                raise MalformedRecord("invalid", f"CancelRequested.{name} must not be empty")
        value = self._connection.serde.of(CancelRequested).encode(wish)
        try:
            await self._publisher.send_all([Outgoing(topics.CANCELLATIONS, f"{wish.tenant}/{wish.request_id}", value)])
        except KafkaError as error:
            raise NotCancelled(wish.tenant, wish.request_id, type(error).__name__) from error

    def consume(self, topic: str, *, group: str | None, from_: From = "earliest", allow_gaps: bool = False) -> Consumption:
        """The topic's records, decoded, for `async for`; each is committed once the loop's body for it has been left.

        Members of a `group` share the partitions. A group that has committed nothing begins at `from_`: `earliest`, `latest`, or
        a time; None reads everything for this program alone and commits nothing. A record that cannot be decoded is given as
        `Unreadable`. Raises SettingsError when there is no such topic, and RecordsGone when records were deleted before the
        group had read them, unless `allow_gaps`.
        """
        return Consumption(self._connection, topic, group=group, from_=from_, allow_gaps=allow_gaps, opened=self._consumptions)

    async def _close_consumptions(self) -> None:
        for consumption in tuple(self._consumptions):
            await consumption.aclose()

    def _request(self, given: Asked, fields: Mapping[str, Any]) -> InferenceRequest:
        if isinstance(given, InferenceRequest):
            if not fields:
                return checked(given)
            given = {field.name: getattr(given, field.name) for field in dataclass_fields(given)}
        return request_of({**(given or {}), **fields}, request_id=new_id("req"), tenant=self._tenant)

    def _due(self, asked: InferenceRequest, timeout_s: float | None) -> tuple[InferenceRequest, float]:
        """The request with a deadline, and the monotonic time until which its answer is waited for."""
        now = clock.now()
        if asked.deadline is None:
            within_s = self._connection.settings.request_timeout_s if timeout_s is None else timeout_s
            asked = replace(asked, deadline=now + timedelta(seconds=within_s))
        elif timeout_s is None:
            within_s = (asked.deadline - now).total_seconds()
        else:
            within_s = min(timeout_s, (asked.deadline - now).total_seconds())
        return asked, time.monotonic() + within_s + GRACE_S

    async def _publish(self, asked: InferenceRequest) -> None:
        value = self._connection.serde.of(InferenceRequest).encode(asked)
        async with self._room:
            try:
                await self._publisher.send_all([Outgoing(topics.REQUESTS, asked.tenant, value)])
            except KafkaError as error:
                raise NotAcknowledged(asked, type(error).__name__) from error


async def _within(waiting: Waiting, asked: InferenceRequest, until_s: float) -> Any:
    try:
        async with asyncio.timeout(until_s - time.monotonic()):
            return await waiting.get()
    except TimeoutError:
        raise NoAnswer(asked) from None


def _ended(response: InferenceResponse) -> InferenceResponse:
    if not response.final:
        raise SentAgain(response)
    return response
