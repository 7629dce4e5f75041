"""Finds the edge and shows what it tells: what `penstock top` does."""

import asyncio
import sys
from contextlib import aclosing
from pathlib import Path

import aiohttp

from schemas.errors import SettingsError
from streams.cli import screen
from streams.cli.exits import ExitCode
from streams.cli.top_board import SNAPSHOT, Board
from streams.cli.top_feed import Feed, Refused, in_words
from streams.embedded.project import Project
from streams.target import read_settings

_FIRST_S = 20.0
_WIDTH = 100


async def run(
    edge_url: str | None, key: str | None, tenant: str | None, data_dir: Path | None, *, once: bool, as_json: bool
) -> ExitCode:
    """Show it, once or live."""
    url = edge_url or _edge_of_the_stack(data_dir)
    if not once and not sys.stdout.isatty():
        raise SettingsError("there is no terminal to show it in: use --once, or --json")
    async with Feed(url, key, tenant) as feed:
        if once:
            return await _once(feed, as_json=as_json)
        from streams.cli.top_app import TopApp  # noqa: PLC0415 - textual is for this alone

        await TopApp(feed).run_async()
    return ExitCode.OK


async def _once(feed: Feed, *, as_json: bool) -> ExitCode:
    board = Board()
    try:
        async with asyncio.timeout(_FIRST_S), aclosing(feed.events()) as events:
            async for told in events:
                if told.name == SNAPSHOT:
                    board.take(told.name, told.data)
                    break
    except TimeoutError:
        screen.say(f"penstock: the edge at {feed.url} told nothing within {_FIRST_S:g} s")
        return ExitCode.TIMEOUT
    except (Refused, aiohttp.ClientError, OSError, ValueError) as error:
        raise SettingsError(f"{feed.url}: {in_words(error)}") from error
    if as_json:
        screen.put_json(board.fields)
        return ExitCode.OK
    from streams.cli.top_drawn import page  # noqa: PLC0415 - rich takes 0.1 s to import

    screen.console().print(page(board, url=feed.url, width=_WIDTH))
    return ExitCode.OK


def _edge_of_the_stack(data_dir: Path | None) -> str:
    """Raises SettingsError when no stack runs, or one without an edge."""
    settings = read_settings(data_dir=data_dir)
    stack = Project(settings.data_dir).running()
    if stack is None:
        raise SettingsError(
            f"no stack runs on {settings.data_dir}: start one with `penstock up`, or name an edge with --edge-url"
        )
    address = next((part.address for name, part in sorted(stack.parts.items()) if name.startswith("edge") and part.address), None)
    if address is None:
        raise SettingsError(f"the stack on {settings.data_dir} has no edge: name one with --edge-url")
    return address
