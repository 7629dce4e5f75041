"""`python -m tests.fault`: try to break the pipeline, and write down what came of it.

Exit codes: 0 every repeat of every case was clean, 1 one was not, 2 no such case.
"""

import argparse
import asyncio
import logging
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.table import Table

from streams.cli.planning import roles_of
from tests.fault.case import LONG, Case
from tests.fault.cases import all_cases
from tests.fault.results import Tried, commit_now, merge
from tests.fault.runner import run_cases

OUTPUT = Path("bench/results/faults.json")
_screen = Console(width=None if sys.stdout.isatty() else 180, soft_wrap=not sys.stdout.isatty())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.fault", description="Kill, pause and take away; then check the log.")
    parser.add_argument("--case", default="", metavar="ID[,ID...]", help="these cases alone, such as K9,F3")
    parser.add_argument(
        "--tag", default="", help=f"the cases with this tag alone; `{LONG}` ones run only when they are asked for"
    )
    parser.add_argument("--repeat", type=int, default=1, metavar="N", help="each case N times in a row (1)")
    parser.add_argument("--output", type=Path, default=OUTPUT, metavar="FILE", help=f"results are merged into it ({OUTPUT})")
    parser.add_argument("--workers", action="append", default=[], metavar="ROLE=N", help="processes of a role, in every case")
    parser.add_argument("--list", action="store_true", help="say which cases there are")
    return parser


def chosen(cases: Sequence[Case], ids: str, tag: str) -> list[Case]:
    """The cases asked for; `F12` means F12-start and its like as well, but those tagged `long` only by their own names.

    Raises ValueError for an id that none has.
    """
    known = {case.id for case in cases}
    wanted = [part for part in ids.split(",") if part]
    wanted += [c.id for c in cases if LONG not in c.tags and any(c.id.startswith(f"{part}-") for part in wanted)]
    if unknown := sorted(i for i in set(wanted) - known if not any(other.startswith(f"{i}-") for other in known)):
        raise ValueError(f"no case {', '.join(unknown)}; --list says which there are")
    if not wanted and not tag:
        return [c for c in cases if LONG not in c.tags]
    return [c for c in cases if (not wanted or c.id in wanted) and (not tag or tag in c.tags)]


def with_workers(case: Case, workers: Sequence[str]) -> Case:
    """The case with other numbers of processes."""
    if not workers:
        return case
    asked = {text.partition("=")[0] for text in workers}
    counts = roles_of(case.stack.providers, workers)
    roles = {role: counts[role] if role in asked else count for role, count in case.stack.roles.items()}
    return replace(case, stack=replace(case.stack, roles=roles))


def table(tried: Sequence[Tried]) -> Table:
    rows = Table("case", "title", "verdict", "repeats", "requests", "duplicate calls", "estimated", "recovery s", "repeat s")
    for data in (t.as_data() for t in tried):
        counts = [str(data[name]) for name in ("repeats", "requests", "duplicate_calls", "estimated")]
        spans = [f"{span['median']:.1f} / {span['worst']:.1f}" if (span := data[n]) else "" for n in ("recovery_s", "repeat_s")]
        verdict = "[green]clean" if data["verdict"] == "clean" else "[red]not clean"
        rows.add_row(data["case"], data["title"], verdict, *counts, *spans)
    return rows


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code."""
    asked = _parser().parse_args(argv)
    try:
        every = all_cases()
        picked = every if asked.list and not (asked.case or asked.tag) else chosen(every, asked.case, asked.tag)
        cases = [with_workers(case, asked.workers) for case in picked]
    except ValueError as error:
        _screen.print(f"[red]{error}", highlight=False)
        return 2
    if asked.list:
        for case in cases:
            _screen.print(f"{case.id:>4}  {case.title}  [dim]{' '.join(sorted(case.tags))}", highlight=False)
        return 0

    def after(done: Sequence[Tried], tried: Tried) -> None:
        merge(asked.output, done)
        last, case = tried.repeats[-1], tried.case
        recovery = "" if last.recovery_s is None else f", recovered in {last.recovery_s:.1f} s"
        counts = f"{last.requests} requests, {last.duplicate_calls} duplicate calls, {last.estimated} estimated{recovery}"
        state = "[red]not clean" if last.problems else "[green]clean"
        said = f"{case.id} {len(tried.repeats)}: {state}[/]: {counts}, {tried.seconds[-1]:.1f} s"
        _screen.print(f"{said} {'; '.join(last.notes)}", highlight=False)
        for problem in last.problems:
            _screen.print(f"    {problem}", markup=False, highlight=False)
        if tried.kept is not None:
            _screen.print(f"    data and logs: {tried.kept}", markup=False, highlight=False)

    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # a broker that is away is what the cases are about
    tried = asyncio.run(run_cases(cases, repeats=asked.repeat, after=after, commit=commit_now()))
    _screen.print(table(tried))
    return 0 if all(t.clean for t in tried) else 1


if __name__ == "__main__":
    sys.exit(main())
