"""Runs one role in this process until it is told to stop."""

import asyncio
import gc
import importlib
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

import structlog

from schemas.errors import SettingsError
from streams.bootstrap import broker_answers
from streams.logs import configure_logging
from streams.metrics import serving
from streams.runtime import Runtime, open_runtime
from streams.settings import Settings

log = structlog.get_logger(__name__)

RunRole = Callable[[Runtime, asyncio.Event, Callable[[], None]], Awaitable[None]]

_MODULES = {
    "intake": "streams.agents.intake",
    "dispatch": "streams.dispatcher.role",
    "tables": "streams.agents.tables",
    "health": "streams.agents.health",
    "calls": "streams.workers.provider",
    "edge": "streams.edge.role",
    "webhooks": "streams.webhooks.role",
}
_COLLECT_AFTER = 20_000
READY_FILE_VARIABLE = "PENSTOCK_READY_FILE"


def module_of(role: str) -> str:
    """The module that runs a role. Raises SettingsError for a role that is none.

    >>> module_of("calls:openai")
    'streams.workers.provider'
    """
    name, _, provider = role.partition(":")
    if name not in _MODULES or (name == "calls") != bool(provider):
        raise SettingsError(
            f"there is no role {role!r}; choose intake, dispatch, tables, health, edge, webhooks, or calls:<provider>"
        )
    return _MODULES[name]


def _nothing() -> None:
    pass


async def run_role(role: str, settings: Settings, *, on_ready: Callable[[], None] = _nothing) -> None:
    """Run until SIGTERM or SIGINT; `on_ready` is called once it works.

    Raises SettingsError, or whatever ended the role; the caller turns it into an exit code.
    """
    configure_logging(settings.log_level, role=role)
    # Only the role's own module is imported: a provider's SDK or the table engine costs tens of megabytes.
    run: RunRole = importlib.import_module(module_of(role)).run
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if not await broker_answers(settings, stop):
        return
    with serving(settings) as port:
        if port is not None:
            log.info("metrics_served", port=port)
        await _run(role, settings, run, stop, on_ready)
    log.info("role_stopped", role=role)


async def _run(role: str, settings: Settings, run: RunRole, stop: asyncio.Event, on_ready: Callable[[], None]) -> None:
    async with open_runtime(settings, role) as runtime:

        def ready() -> None:
            _announce_ready(role)
            on_ready()

        await run(runtime, stop, ready)


def _announce_ready(role: str) -> None:
    _settle_memory()
    log.info("role_ready", role=role)
    if path := os.environ.get(READY_FILE_VARIABLE):
        Path(path).write_text(f"{os.getpid()}\n", encoding="ascii")


def _settle_memory() -> None:
    """Take what was imported out of the garbage collector's sight, and let it look at the rest less often.

    A worker holds some hundred thousand long-lived objects (SDKs, codecs); walking them at every young collection took about a
    quarter of its CPU.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER, 50, 50)
