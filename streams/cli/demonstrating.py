"""The demonstration: what `penstock demo` does."""

import asyncio
import os
import secrets
import shutil
import signal
import tempfile
import time
from collections.abc import Coroutine, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from schemas.errors import SettingsError
from schemas.ledger import CostTotal
from streams.cli import screen, verifying
from streams.cli.exits import ExitCode
from streams.cli.parts import PartLines
from streams.cli.planning import Wish, plan_of
from streams.cli.publishing import publish
from streams.cli.report import Report, show_answers
from streams.cli.running import start_unless, stop_signals
from streams.cli.spending import Spending, read_totals, show
from streams.cli.work import Job
from streams.embedded.stack import Stack
from streams.money import plural
from streams.settings import Settings
from streams.verify.check import verify
from streams.verify.verdict import Verdict

PROVIDERS = ("openai", "anthropic", "google")
RATE = 12.0
"""Requests a second: slow enough for the repeats at the end to find their first in the cache."""
ANSWER_TIMEOUT_S = 60.0
VERIFY_WAIT_S = 20.0
_OURS = ("PENSTOCK_", "REDIS_URL", "SCHEMA_REGISTRY_")


async def run(requests: Path | None, data_dir: Path | None, *, as_json: bool) -> ExitCode:
    """Run the whole demonstration. Raises SettingsError when it cannot start.

    Without a directory of the user's it takes one of its own, which stays, for its logs, only when something went wrong.
    """
    source = (requests or _example()).absolute()
    directory = data_dir or Path(tempfile.mkdtemp(prefix="penstock-demo-"))
    directory.mkdir(parents=True, exist_ok=True)
    code = ExitCode.NO
    try:
        # A `.env` in the user's directory is meant for other runs.
        with _inside(directory.absolute()) as inside, stop_signals(signal.SIGINT, signal.SIGTERM) as stop:
            code = await _until_stopped(_demonstrate(source, inside, stop, as_json=as_json), stop)
    finally:
        if data_dir is None and code is not ExitCode.NO:
            shutil.rmtree(directory, ignore_errors=True)
        elif data_dir is None:
            screen.say(f"the data and the logs are kept in {directory}")
    return code


async def _until_stopped(work: Coroutine[Any, Any, ExitCode], stop: asyncio.Event) -> ExitCode:
    showing, stopping = asyncio.create_task(work), asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({showing, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if showing.done():
            return showing.result()
        screen.say("stopping")
        showing.cancel()
        await asyncio.gather(showing, return_exceptions=True)
        return ExitCode.INTERRUPTED
    finally:
        stopping.cancel()


async def _demonstrate(source: Path, directory: Path, stop: asyncio.Event, *, as_json: bool) -> ExitCode:
    began_s = time.monotonic()
    # Whatever the environment says of a Kafka, a Valkey or a registry is meant for other runs.
    settings = Settings.model_construct(data_dir=directory, _fields_set={"data_dir"})
    environment = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
    plan = plan_of(Wish(providers=PROVIDERS, simulator=True), settings, environment)
    lines = PartLines(as_json=False)
    if not as_json:
        screen.say("Starting a stack of its own, with simulated providers:")
    stack = Stack(plan, on_event=_nothing if as_json else lines)
    try:
        if not await start_unless(stop, stack):
            return ExitCode.INTERRUPTED
        up_s = time.monotonic() - began_s
        if not as_json:
            screen.say(f"up after {up_s:.1f} s; publishing {source.name}")
        job = Job(source=str(source), rate=RATE, wait=True, timeout_s=ANSWER_TIMEOUT_S, run_id=secrets.token_hex(8))
        report = await publish(job, stack.settings, show_progress=not as_json)
        totals = await read_totals(stack.settings)
        verdict = await verify(stack.settings, call_log=stack.simulator_log, wait_s=VERIFY_WAIT_S)
    finally:
        lines.stopping()
        await stack.stop()
    took_s = time.monotonic() - began_s
    if as_json:
        _put_json(report, totals, verdict, up_s, took_s)
    else:
        _put(report, totals, verdict, took_s)
    return ExitCode.OK if verdict.ok and not report.unanswered and report.published else ExitCode.NO


def _put(report: Report, totals: Mapping[bytes, CostTotal], verdict: Verdict, took_s: float) -> None:
    screen.put(f"\n{plural(report.published, 'request')} published")
    if report.answers is not None:
        show_answers(report.answers)
    for by in ("tenant", "model"):
        screen.put("")
        show(Spending(by=by), totals.values(), as_json=False)
    screen.put("\npenstock verify says:")
    verifying.show(verdict)
    screen.say(f"\nDone in {took_s:.0f} s; nothing is left running. Start your own with `penstock up`.")


def _put_json(report: Report, totals: Mapping[bytes, CostTotal], verdict: Verdict, up_s: float, took_s: float) -> None:
    costs = {
        by: {name: sums.as_json() for name, sums in Spending(by=by).group(totals.values()).items()} for by in ("tenant", "model")
    }
    took = {"up_s": round(up_s, 2), "took_s": round(took_s, 2)}
    screen.put_json({**report.as_json(), "costs": costs, "verify": verdict.to_json(), **took})


@contextmanager
def _inside(directory: Path) -> Iterator[Path]:
    before = Path.cwd()
    os.chdir(directory)
    try:
        yield directory
    finally:
        os.chdir(before)


def _example() -> Path:
    """The requests of a checkout: they are not part of what is installed."""
    candidates = (Path("examples/requests.jsonl"), Path(__file__).parents[2] / "examples" / "requests.jsonl")
    for path in candidates:
        if path.is_file():
            return path
    raise SettingsError("examples/requests.jsonl is not here: run it in a checkout, or name a file with --requests")


def _nothing(_: object) -> None: ...
