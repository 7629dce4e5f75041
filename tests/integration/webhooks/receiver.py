"""A receiver of webhooks: a real HTTP server that answers as it is told and remembers what came."""

import asyncio
import contextlib
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from standardwebhooks import Webhook


@dataclass(frozen=True, slots=True)
class Message:
    path: str
    headers: dict[str, str]
    body: str

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def data(self) -> dict[str, Any]:
        data: dict[str, Any] = json.loads(self.body)["data"]
        return data

    def believed(self, secret: str) -> bool:
        """Raises WebhookVerificationError for what was not signed with the secret."""
        return bool(Webhook(secret).verify(self.body, self.headers))


@dataclass(slots=True)
class Receiver:
    """`answer` says the status of each message as it comes; 0: none, ever."""

    url: str
    answer: Callable[[Message], int] = field(default=lambda _: 204)
    messages: list[Message] = field(default_factory=list)

    def of(self, path: str) -> list[Message]:
        return [message for message in self.messages if message.path == path]

    def counts(self, path: str) -> Counter[str]:
        """How often each request was told of there."""
        return Counter(message.data.get("request_id", "") for message in self.of(path))

    def failing_first(self, times: int) -> None:
        """Each message is refused so often, then taken."""
        seen: Counter[tuple[str, str]] = Counter()

        def answer(message: Message) -> int:
            seen[message.path, message.id] += 1
            return 500 if seen[message.path, message.id] <= times else 200

        self.answer = answer


@contextlib.asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    receiver = Receiver("")
    gone = asyncio.Event()

    async def take(request: web.Request) -> web.Response:
        message = Message(request.path, {k.lower(): v for k, v in request.headers.items()}, await request.text())
        receiver.messages.append(message)
        if (status := receiver.answer(message)) == 0:
            await gone.wait()
        return web.Response(status=status or 500, text="noted")

    app = web.Application()
    app.router.add_post("/{path:.*}", take)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield receiver
    finally:
        gone.set()
        await runner.cleanup()


async def until(holds: Callable[[], bool], *, within_s: float = 40.0, what: str = "") -> None:
    async with asyncio.timeout(within_s):
        while not holds():  # noqa: ASYNC110 - what is waited for comes from another process
            await asyncio.sleep(0.02)
    assert holds(), what
