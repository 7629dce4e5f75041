"""The role `edge`: HTTP in front of the log. Stateless: any number of processes may share a port, on one machine or many."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from ipaddress import ip_address
from typing import Any

import structlog
from granian.constants import Interfaces
from granian.http import HTTP1Settings
from granian.server.embed import Server

from schemas.errors import SettingsError
from streams.edge.anthropic import Anthropic
from streams.edge.app import edge_app
from streams.edge.door import Door
from streams.edge.key_ring import KeyRing
from streams.edge.mailbox import Mailbox
from streams.edge.native_parts import open_native
from streams.edge.openai import OpenAi
from streams.edge.principal import Anyone, Authority
from streams.edge.responses import Responses
from streams.runtime import Runtime
from streams.settings import Settings
from streams.stores.secret import key_secret

log = structlog.get_logger(__name__)

_HEADER_TIMEOUT_MS = 15_000
_BACKLOG = 2_048
_STARTED_WITHIN_S = 10.0


async def run(runtime: Runtime, stop: asyncio.Event, ready: Callable[[], None]) -> None:
    """Serve until `stop`, then let what is being answered end. Raises SettingsError for an address that cannot be bound."""
    settings = runtime.settings
    check(settings)
    async with AsyncExitStack() as exit_stack:
        authority: Authority = Anyone()
        if not settings.edge_insecure_local:
            authority = await exit_stack.enter_async_context(KeyRing(runtime, key_secret(settings)).following())
        mailbox = await exit_stack.enter_async_context(Mailbox(runtime).following())
        native = await exit_stack.enter_async_context(open_native(runtime, mailbox))
        door = Door(runtime, authority, mailbox, native.asking)
        parts = (OpenAi(door), Anthropic(door), Responses(door))
        app = edge_app(door, native.routes(door, [route for part in parts for route in part.routes()]))
        await _serve(app, settings, stop, ready)


def check(settings: Settings) -> None:
    """Raises SettingsError for an address that is none, and when anybody could reach an edge that asks for no key."""
    try:
        loopback = ip_address(settings.edge_address).is_loopback
    except ValueError as error:
        raise SettingsError(
            f"PENSTOCK_EDGE_ADDRESS is an IP address, such as 127.0.0.1, not {settings.edge_address!r}"
        ) from error
    if settings.edge_insecure_local and not loopback:
        raise SettingsError(
            f"--insecure-local serves without keys and may bind nothing but loopback, not {settings.edge_address}: "
            "leave it out and create keys (`penstock keys create`), or bind 127.0.0.1"
        )


async def _serve(app: object, settings: Settings, stop: asyncio.Event, ready: Callable[[], None]) -> None:
    # Each process binds the port by itself with SO_REUSEPORT; the kernel spreads connections over them.
    server: Any = Server(
        app,
        address=settings.edge_address,
        port=settings.edge_port,
        interface=Interfaces.ASGI,
        backlog=_BACKLOG,
        http1_settings=HTTP1Settings(header_read_timeout=_HEADER_TIMEOUT_MS),
        log_enabled=False,
    )
    serving = asyncio.create_task(server.serve(), name="edge")
    stopping = asyncio.create_task(stop.wait())
    try:
        await _until_listening(settings, serving)
        log.info("edge_listens", address=f"http://{settings.edge_address}:{settings.edge_port}")
        ready()
        await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopping.cancel()
        if not serving.done():
            server.stop()
        await asyncio.gather(serving, stopping, return_exceptions=True)
    if not stop.is_set():
        raise SettingsError(f"the HTTP server ended by itself: is port {settings.edge_port} free? PENSTOCK_EDGE_PORT sets it")


async def _until_listening(settings: Settings, serving: "asyncio.Task[None]") -> None:
    async with asyncio.timeout(_STARTED_WITHIN_S):
        while not serving.done():
            try:
                _, writer = await asyncio.open_connection(settings.edge_address, settings.edge_port)
            except OSError:
                await asyncio.sleep(0.05)
            else:
                writer.close()
                return
