"""The role `edge`: HTTP in front of the log. Stateless: any number of processes may share a port, on one machine or many."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from ipaddress import ip_address
from typing import Any

import structlog
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.server.embed import Server

from schemas.errors import SettingsError
from streams.edge.anthropic import Anthropic
from streams.edge.app import edge_app
from streams.edge.batch_parts import open_batches
from streams.edge.cancelling import Cancelling
from streams.edge.door import Door
from streams.edge.jwt_trust import with_tokens
from streams.edge.key_ring import KeyRing
from streams.edge.live import LiveView, open_watching
from streams.edge.mailbox import Mailbox
from streams.edge.native_parts import open_native
from streams.edge.openai import OpenAi
from streams.edge.operations_headers import Guarded
from streams.edge.operations_parts import open_operations
from streams.edge.page_routes import Page
from streams.edge.principal import Anyone, Authority
from streams.edge.responses import Responses
from streams.edge.webhooks import open_webhooks
from streams.runtime import Runtime
from streams.settings import Settings
from streams.stores.secret import key_secret

log = structlog.get_logger(__name__)

_HEADER_TIMEOUT_MS = 15_000
_MAX_HEADER_BYTES = 64 * 1024
_BACKLOG = 2_048
_STARTED_WITHIN_S = 10.0


async def run(runtime: Runtime, stop: asyncio.Event, ready: Callable[[], None]) -> None:
    """Serve until `stop`, then let what is being answered end. Raises SettingsError for an address that cannot be bound."""
    settings = runtime.settings
    check(settings)
    async with AsyncExitStack() as exit_stack:
        authority: Authority = Anyone()
        if not settings.edge_insecure_local:
            ring = await exit_stack.enter_async_context(KeyRing(runtime, key_secret(settings)).following())
            authority = await exit_stack.enter_async_context(with_tokens(settings, ring))
        mailbox = await exit_stack.enter_async_context(Mailbox(runtime).following())
        native = await exit_stack.enter_async_context(open_native(runtime, mailbox))
        operations = await exit_stack.enter_async_context(open_operations(runtime))
        batches = await exit_stack.enter_async_context(open_batches(runtime))
        door = Door(runtime, authority, mailbox, native.asking, Cancelling(runtime))
        watching = await exit_stack.enter_async_context(open_watching(runtime, stop))
        webhooks = await exit_stack.enter_async_context(open_webhooks(runtime))
        parts = (OpenAi(door), Anthropic(door), Responses(door), LiveView(door, watching), Page(), webhooks.at(door))
        routes = native.routes(door, [*(route for part in parts for route in part.routes()), *batches.routes(door)])
        app = Guarded(edge_app(door, operations.routes(door, routes)))
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
        # Told which version to expect, it closes connections that send nothing; left to find out, it waits for ever.
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(header_read_timeout=_HEADER_TIMEOUT_MS, max_buffer_size=_MAX_HEADER_BYTES),
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
            # It would wait for streams that are still read, for as long as they last: their readers go on at another process.
            await asyncio.wait({serving}, timeout=settings.drain_timeout_s)
            serving.cancel()
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
