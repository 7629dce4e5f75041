"""The independent check: `penstock verify` as a process of its own, over the log and the logs of both ends."""

import asyncio
import os
import sys
from dataclasses import fields
from pathlib import Path

import orjson

from streams.embedded.plan import environment_of
from streams.settings import Settings
from streams.verify.verdict import Problem, ProblemKind, Verdict

_MOST_PROBLEMS = 50
_HOME = Path(__file__).resolve().parents[2]


class CheckFailed(Exception):
    """The check itself could not be made."""


async def verify(settings: Settings, *, call_log: Path, acknowledged_log: Path, checkpoint: Path, wait_s: float) -> Verdict:
    """The verdict on everything since the stack began, reading on from the clean verdict that `checkpoint` keeps.

    Raises CheckFailed with the command's own words.
    """
    argv = [sys.executable, "-P", "-m", "streams.cli.main", "verify", "--json"]
    argv += ["--wait", str(wait_s), "--problems", str(_MOST_PROBLEMS), "--checkpoint", str(checkpoint)]
    for option, path in (("--call-log", call_log), ("--acknowledged-log", acknowledged_log)):
        if path.exists():
            argv += [option, str(path)]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PENSTOCK_")}
    environment |= {"PYTHONPATH": str(_HOME), **environment_of(settings)}
    process = await asyncio.create_subprocess_exec(
        *argv, env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    said, complained = await process.communicate()
    if process.returncode not in {0, 1} or not said:
        raise CheckFailed(f"penstock verify ended with {process.returncode}: {complained.decode(errors='replace')[-500:]}")
    return _verdict(said)


def _verdict(said: bytes) -> Verdict:
    data = orjson.loads(said)
    problems = tuple(Problem(**p | {"kind": ProblemKind(p["kind"])}) for p in data["problems"])
    return Verdict(**{f.name: data[f.name] for f in fields(Verdict)} | {"problems": problems})
