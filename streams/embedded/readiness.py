"""Waiting for a child to be ready, to give up, or to take too long."""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

from schemas.errors import SettingsError
from streams.embedded.spawner import Process


async def until_ready(process: Process, probe: Coroutine[Any, Any, None], *, timeout_s: float, log: Path) -> None:
    """Return when `probe` does.

    Raises SettingsError when the process ends first, or when `timeout_s` is over; then, as after any error, the process
    is killed.
    """
    probing = asyncio.create_task(probe)
    either: set[asyncio.Future[Any]] = {probing, process.exited}
    try:
        await asyncio.wait(either, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        if probing.done():
            return probing.result()
    except BaseException:  # cancelled, or the probe's own error: nobody will watch this process
        process.send_signal(signal.SIGKILL)
        raise
    finally:
        probing.cancel()
        await asyncio.gather(probing, return_exceptions=True)
    what = f"was not ready after {timeout_s:g} s" if process.alive else f"ended with code {process.exited.result()}"
    process.send_signal(signal.SIGKILL)
    raise SettingsError(f"{process.name} {what}; the reason is in {log}")


async def poll(condition: Callable[[], Awaitable[bool]], *, every_s: float) -> None:
    """Return when `condition` comes true; the caller bounds how long that may take."""
    while not await condition():  # noqa: ASYNC110  (another process has no asyncio.Event)
        await asyncio.sleep(every_s)
