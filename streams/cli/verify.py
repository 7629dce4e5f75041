"""`penstock verify`: whether the promises hold, recomputed from the log."""

from pathlib import Path
from typing import Annotated

import typer

from streams.cli.options import AsJson, BootstrapServers, DataDir


def verify(
    *,
    wait_s: Annotated[
        float, typer.Option("--wait", metavar="SECONDS", min=0, help="Read on for so long while requests are in flight.")
    ] = 0.0,
    call_log: Annotated[
        Path | None,
        typer.Option("--call-log", metavar="FILE", help="The simulator's call log; the running stack's is found by itself."),
    ] = None,
    acknowledged_log: Annotated[
        Path | None, typer.Option("--acknowledged-log", metavar="FILE", help="What `publish --acknowledged-log` wrote.")
    ] = None,
    problems: Annotated[int, typer.Option("--problems", metavar="N", min=0, help="Show so many problems at most.")] = 20,
    bootstrap_servers: BootstrapServers = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Read every topic from its beginning and check: one final a request, one cost event a call, totals equal to their sum.

    It shares no code with what it checks. With --json one object: ok, acknowledged, final, missing, duplicate_finals,
    calls_started, cost_events, totals_match, estimated, wasted, dead_letters, problems and more.

    Exit codes: 0 clean, 1 not clean, 2 settings.
    """
    import asyncio  # noqa: PLC0415

    from streams.cli.verifying import run  # noqa: PLC0415

    raise typer.Exit(
        asyncio.run(
            run(
                bootstrap_servers,
                data_dir,
                call_log=call_log,
                acknowledged_log=acknowledged_log,
                wait_s=wait_s,
                most_problems=problems,
                as_json=as_json,
            )
        )
    )
