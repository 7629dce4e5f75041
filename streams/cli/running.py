"""Runs a stack until it is told to stop: what `penstock up` does."""

import asyncio
import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from streams.cli import screen
from streams.cli.exits import ExitCode
from streams.cli.parts import PartLines
from streams.cli.planning import Wish, plan_of
from streams.embedded.assembly import EDGE
from streams.embedded.stack import Stack
from streams.target import read_settings


@contextmanager
def stop_signals(*numbers: signal.Signals) -> Iterator[asyncio.Event]:
    """An event that is set at the first of the signals; later ones change nothing."""
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in numbers:
        loop.add_signal_handler(number, stop.set)
    try:
        yield stop
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)


async def run(wish: Wish, options: Mapping[str, Any], *, as_json: bool) -> ExitCode:
    """Start everything, say so, wait for the signal, stop everything. Raises SettingsError when it cannot start."""
    plan = plan_of(wish, read_settings(**options), dict(os.environ))
    lines = PartLines(as_json=as_json)
    with stop_signals(signal.SIGINT, signal.SIGTERM) as stop:
        stack = Stack(plan, on_event=lines)
        if not await start_unless(stop, stack):
            return ExitCode.OK
        if not as_json:
            _hint(stack, simulated=plan.simulator)
        await stop.wait()
        lines.stopping()
        screen.say("stopping: workers finish the calls under way")
        await stack.stop()
        screen.say("stopped")
    return ExitCode.OK


async def start_unless(stop: asyncio.Event, stack: Stack) -> bool:
    """Start the stack; False, with nothing left running, when the signal comes first. Raises SettingsError."""
    starting = asyncio.create_task(stack.start(), name="starting")
    stopping = asyncio.create_task(stop.wait(), name="stopping")
    try:
        await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            starting.result()
            return True
    finally:
        stopping.cancel()
        if not starting.done():
            starting.cancel()
            await asyncio.gather(starting, return_exceptions=True)
    return False


def _hint(stack: Stack, *, simulated: bool) -> None:
    info = stack.info
    how = "simulated; set a provider's key to call it for real" if simulated else "real calls, real money"
    screen.say(f"providers: {', '.join(info.providers)} ({how})")
    edge = next((part.address for name, part in info.parts.items() if name.startswith(EDGE)), None)
    if edge is not None:
        screen.say(f"for OpenAI's clients: {edge}/v1, with a key of `penstock keys create --tenant NAME`")
    screen.say('up. Now, in another terminal:  penstock ask "Why is the sky blue?"     Ctrl-C stops everything.')
