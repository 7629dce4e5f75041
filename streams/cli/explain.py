"""`penstock explain`: the whole lineage of a request."""

from typing import Annotated

import typer

from streams.cli.options import AsJson, BootstrapServers, DataDir


def explain(
    request_id: Annotated[str, typer.Argument(metavar="REQUEST_ID", help="The id that the request was published with.")],
    *,
    tenant: Annotated[
        str | None, typer.Option("--tenant", metavar="NAME", help="Whose request, where several tenants use the same id.")
    ] = None,
    since: Annotated[
        str | None,
        typer.Option("--since", metavar="TIME", help="Read from this time on, which is faster, e.g. 2026-01-31T15:00Z."),
    ] = None,
    bootstrap_servers: BootstrapServers = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Tell why a request went where it went: as what it was classified, what each deployment scored, its calls, costs and answer.

    Everything comes from the log, committed records only. With --json one object for each tenant that has such a request:
    {"request_id", "tenant", "state", "requests", "decisions", "orders", "calls", "costs", "responses", "dead_letters"}; each
    entry has "topic", "partition", "offset", "timestamp" and "record".

    Exit codes: 0 done, 1 the log knows no such request, 2 settings.
    """
    import asyncio  # noqa: PLC0415

    from streams.cli.explaining import Wanted, run  # noqa: PLC0415

    wanted = Wanted.of(request_id, tenant=tenant, since=since)
    raise typer.Exit(asyncio.run(run(wanted, bootstrap_servers, data_dir, as_json=as_json)))
