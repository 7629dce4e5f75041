"""Lines of a file, or of a pipe without ever blocking the event loop."""

import asyncio
import os
import sys
import threading
from collections.abc import AsyncIterator
from pathlib import Path

from schemas.errors import SettingsError

_BLOCK_BYTES = 1 << 16
_BLOCKS_AHEAD = 8
_LINES_A_TURN = 64
STDIN = "-"


async def lines_of(source: str) -> AsyncIterator[bytes]:
    """Every line, its end included. Raises SettingsError when the file cannot be read."""
    if source == STDIN:
        async for line in _lines_of_pipe(sys.stdin.fileno()):
            yield line
        return
    with open_file(source).open("rb") as file:
        for count, line in enumerate(file):
            if count % _LINES_A_TURN == 0:
                await asyncio.sleep(0)
            yield line


def open_file(source: str | Path) -> Path:
    """The path of a file that can be read. Raises SettingsError."""
    path = Path(source)
    try:
        with path.open("rb") as file:
            file.read(0)
    except OSError as error:
        raise SettingsError(f"{path} cannot be read ({error.strerror}); name a file, or - for standard input") from error
    return path


async def _lines_of_pipe(descriptor: int) -> AsyncIterator[bytes]:
    """Reads in a thread of its own: a pipe may be silent for hours, and the answers must not wait for it."""
    loop = asyncio.get_running_loop()
    blocks: asyncio.Queue[bytes] = asyncio.Queue()
    room = threading.Semaphore(_BLOCKS_AHEAD)

    def read() -> None:
        block = b"."
        while block:
            room.acquire()
            try:
                block = os.read(descriptor, _BLOCK_BYTES)
            except OSError:  # the terminal is gone: the same as its end
                block = b""
            try:
                loop.call_soon_threadsafe(blocks.put_nowait, block)
            except RuntimeError:  # the loop has ended, and nobody listens
                return

    threading.Thread(target=read, name="standard input", daemon=True).start()
    rest = b""
    while block := await blocks.get():
        room.release()
        *lines, rest = (rest + block).split(b"\n")
        for line in lines:
            yield line + b"\n"
    if rest:
        yield rest
