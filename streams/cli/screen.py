"""What a command shows: results on standard output, everything about the work on standard error.

With `--json` results are JSON lines, and standard output carries nothing else.
"""

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

_UNSEEN_WIDTH = 1_000


def say(text: str) -> None:
    """One line for people, on standard error."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def put(text: str, *, end: str = "\n") -> None:
    """A piece of the result, on standard output, at once."""
    sys.stdout.write(f"{text}{end}")
    sys.stdout.flush()


def put_json(value: Any) -> None:
    """One line of JSON on standard output, at once."""
    from streams.decoding import dumps  # noqa: PLC0415 - most commands print no JSON

    put_bytes(dumps(value))


def put_bytes(line: bytes) -> None:
    """A line that is ready, on standard output, at once."""
    sys.stdout.buffer.write(line)
    sys.stdout.buffer.flush()


def console(*, stderr: bool = False) -> "Console":
    """Rich's console, for tables and progress. Where nobody looks, lines are as long as they need to be."""
    from rich.console import Console  # noqa: PLC0415 - takes 0.1 s to import

    stream = sys.stderr if stderr else sys.stdout
    return Console(stderr=stderr, highlight=False, width=None if stream.isatty() else _UNSEEN_WIDTH)
