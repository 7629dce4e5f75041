"""`penstock reconcile`: what the provider bills becomes what the ledger says."""

from pathlib import Path
from typing import Annotated

import typer

from streams.cli.options import AsJson, BootstrapServers, DataDir


def reconcile(
    *,
    provider_usage: Annotated[
        Path, typer.Option("--provider-usage", metavar="FILE", help="The provider's export, or the simulator's call log.")
    ],
    format_name: Annotated[
        str, typer.Option("--format", metavar="auto|simulator|openai|anthropic|google", help="What the file is.")
    ] = "auto",
    provider: Annotated[
        str | None,
        typer.Option("--provider", metavar="NAME", help="Whose export it is in our catalogue, where the format does not say."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what differs, post nothing.")] = False,
    complete: Annotated[
        bool,
        typer.Option("--complete", help="The export has every call of its time: an estimated call that it lacks cost nothing."),
    ] = False,
    first: Annotated[
        str | None, typer.Option("--from", metavar="TIME", help="The export covers the time from here, e.g. 2026-01-31T15:00Z.")
    ] = None,
    last: Annotated[str | None, typer.Option("--to", metavar="TIME", help="The export covers the time up to here.")] = None,
    margin_s: Annotated[
        float,
        typer.Option("--margin", metavar="SECONDS", min=0, help="With --complete: conclude nothing so near to the ends."),
    ] = 60.0,
    wait_s: Annotated[
        float, typer.Option("--wait", metavar="SECONDS", min=0, help="Wait so long until the adjustments stand in the ledger.")
    ] = 30.0,
    lines: Annotated[int, typer.Option("--lines", metavar="N", min=0, help="Show so many calls of each kind at most.")] = 20,
    bootstrap_servers: BootstrapServers = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Join a provider's usage export with the ledger, show what differs, and post the differences: estimates become actuals.

    Calls are joined by call id or by the provider's id of its answer. The ledger is never edited: an ADJUSTED cost event holds
    the difference, and the totals follow in the same transaction. Running it again posts nothing new. Usage reports that
    sum up many calls are compared only.

    With --json one object: clean, asked, adjustments, outstanding, found, left, before, after; of a usage report clean, buckets.

    Exit codes: 0 both sides agree now, 1 lines are left that do not match, 2 settings, 3 adjustments did not come in time.
    """
    import asyncio  # noqa: PLC0415

    from streams.cli.reconciling import Request, run  # noqa: PLC0415

    request = Request.of(
        provider_usage,
        format_name=format_name,
        provider=provider,
        dry_run=dry_run,
        complete=complete,
        first=first,
        last=last,
        margin_s=margin_s,
        wait_s=wait_s,
    )
    raise typer.Exit(asyncio.run(run(request, bootstrap_servers, data_dir, most=lines, as_json=as_json)))
