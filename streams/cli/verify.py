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
    injected: Annotated[
        Path | None,
        typer.Option(
            "--injected",
            metavar="FILE",
            help="The bad records that were put in on purpose, one JSON line each: topic, partition, offset or key, reason.",
        ),
    ] = None,
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            "--checkpoint",
            metavar="FILE",
            help="Read only what came after the clean verdict that this file keeps, and keep the next one in it.",
        ),
    ] = None,
    since: Annotated[
        Path | None,
        typer.Option(
            "--since", metavar="FILE", help="Go on from a checkpoint and leave it as it is.", exists=True, dir_okay=False
        ),
    ] = None,
    crashes: Annotated[
        int | None,
        typer.Option("--crashes", metavar="N", min=0, help="So many workers died: with --in-flight a bound on duplicates."),
    ] = None,
    in_flight: Annotated[
        int | None, typer.Option("--in-flight", metavar="M", min=0, help="So many calls a worker makes at a time.")
    ] = None,
    problems: Annotated[int, typer.Option("--problems", metavar="N", min=0, help="Show so many problems at most.")] = 20,
    bootstrap_servers: BootstrapServers = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Read every topic from its beginning and check: one final a request, one cost event a call, totals equal to their sum.

    It shares no code with what it checks. With --json one object: ok, acknowledged, final, missing, duplicate_finals,
    calls_started, cost_events, totals_match, estimated, wasted, dead_letters, checked, not_checked, problems and more.
    docs/verify.md says what each problem means and what to do about it.

    Exit codes: 0 clean, 1 not clean, 2 settings.
    """
    if (crashes is None) != (in_flight is None):
        raise typer.BadParameter("--crashes and --in-flight go together: their product is the bound")
    if checkpoint is not None and since is not None:
        raise typer.BadParameter("--checkpoint goes on from its file and renews it, --since only goes on; give one of them")

    import asyncio  # noqa: PLC0415

    from streams.cli.verifying import run  # noqa: PLC0415

    raise typer.Exit(
        asyncio.run(
            run(
                bootstrap_servers,
                data_dir,
                call_log=call_log,
                acknowledged_log=acknowledged_log,
                injected=injected,
                checkpoint=checkpoint,
                since=since,
                duplicate_calls_at_most=None if crashes is None or in_flight is None else crashes * in_flight,
                wait_s=wait_s,
                most_problems=problems,
                as_json=as_json,
            )
        )
    )
