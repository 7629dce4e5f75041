"""The command line that the benches share, and where their results go."""

import argparse
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from machine import ROOT
from rich.console import Console

from schemas.errors import SettingsError

R = TypeVar("R")
_out = Console(stderr=True)


@dataclass(frozen=True, slots=True)
class Options:
    """`wanted`: what to measure, in the order in which it was offered; `rounds`: None for the bench's own number."""

    quick: bool
    wanted: list[str]
    rounds: int | None
    output: Path


def parsed(doc: str | None, offered: Iterable[str], *, output: str, many_rounds: bool = True) -> Options:
    """The options of a bench whose docstring is `doc`; `output` is a file's name in bench/results. Wrong ones end the program."""
    names = list(offered)
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one small round, to see whether it works")
    parser.add_argument("--only", metavar="NAME,…", help=f"of {', '.join(names)}")
    if many_rounds:
        parser.add_argument("--rounds", type=int, metavar="N")
    parser.add_argument("--output", type=Path, default=ROOT / "bench" / "results" / output)
    arguments = parser.parse_args()
    asked = arguments.only.split(",") if arguments.only else names
    if unknown := [name for name in asked if name not in names]:
        parser.error(f"there is no {', '.join(unknown)}; there are {', '.join(names)}")
    rounds = arguments.rounds if many_rounds else None
    return Options(arguments.quick, [name for name in names if name in asked], rounds, arguments.output)


def or_exit(measure: Callable[[], R]) -> R:
    """What was measured; a setting that cannot work ends the program with its message."""
    try:
        return measure()
    except SettingsError as error:
        sys.exit(str(error))


def write(text: str, options: Options) -> None:
    """Put the result where it was asked for."""
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(text, encoding="utf-8")
    _out.print(f"written to {options.output}")
