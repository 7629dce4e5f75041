"""Checks the log and prints the verdict: what `penstock verify` does."""

from pathlib import Path

from streams.cli import screen
from streams.cli.exits import ExitCode
from streams.cli.reading import broker_errors
from streams.target import Target, find_target
from streams.verify.check import verify
from streams.verify.verdict import Verdict


async def run(
    bootstrap_servers: str | None,
    data_dir: Path | None,
    *,
    call_log: Path | None,
    acknowledged_log: Path | None,
    injected: Path | None,
    checkpoint: Path | None,
    since: Path | None,
    duplicate_calls_at_most: int | None,
    wait_s: float,
    most_problems: int,
    as_json: bool,
) -> ExitCode:
    """Check, print, and say whether it is clean."""
    target = find_target(bootstrap_servers, data_dir)
    with broker_errors(target.settings):
        verdict = await verify(
            target.settings,
            call_log=call_log or _own_call_log(target),
            acknowledged_log=acknowledged_log,
            injected=injected,
            checkpoint=checkpoint,
            since=since,
            duplicate_calls_at_most=duplicate_calls_at_most,
            wait_s=wait_s,
            most_problems=most_problems,
        )
    if as_json:
        screen.put_json(verdict.to_json())
    else:
        show(verdict)
    return ExitCode.OK if verdict.ok else ExitCode.NO


def show(verdict: Verdict) -> None:
    """The verdict in one line, then what is wrong."""
    screen.put(verdict.line())
    for invariant, why in verdict.not_checked.items():
        if invariant.startswith("I6"):
            screen.put(f"  not checked: {invariant}: {why}")
    for problem in verdict.problems:
        screen.put(f"  {problem}")
    if (more := verdict.problem_count - len(verdict.problems)) > 0:
        screen.put(f"  and {more:,} more")


def _own_call_log(target: Target) -> Path | None:
    """The log of the stack's own simulator, once it has been called."""
    path = Path(target.stack.simulator_log) if target.stack and target.stack.simulator_log else None
    return path if path is not None and path.exists() else None
