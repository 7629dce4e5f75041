"""`penstock costs`: what was spent, exactly, from the cost totals."""

from typing import Annotated

import typer

from streams.cli.options import AsJson, BootstrapServers, DataDir


def costs(
    *,
    by: Annotated[str, typer.Option("--by", metavar="tenant|provider|model|hour|day", help="What to sum by.")] = "tenant",
    since: Annotated[
        str | None, typer.Option("--since", metavar="TIME", help="From the hour of this time on, e.g. 2026-01-31T15:00Z.")
    ] = None,
    tenant: Annotated[str | None, typer.Option("--tenant", metavar="NAME", help="This tenant's costs only.")] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Show it live, until Ctrl-C.")] = False,
    bootstrap_servers: BootstrapServers = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Show what was spent, in dollars to the nano-dollar.

    The totals are absolute values, written in one transaction with the cost events: nothing is missed and nothing counted twice.
    Calls whose price is unknown are counted apart and are not in the sum; estimated calls are in it at their upper bound.

    With --json one object: {"by", "rows": [{"<by>", "calls", "cost_nanousd", ...}], "total": {...}}, all integers; with --watch
    one such line a change.

    Exit codes: 0 done, 2 settings, 130 Ctrl-C.
    """
    import asyncio  # noqa: PLC0415

    from streams.cli.spending import Spending, run  # noqa: PLC0415

    wanted = Spending.of(by=by, since=since, tenant=tenant)
    asyncio.run(run(wanted, bootstrap_servers, data_dir, watch=watch, as_json=as_json))
