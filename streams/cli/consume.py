"""`penstock consume`: what stands in the topics, decoded."""

from typing import Annotated

import typer

from streams.cli.options import AsJson, BootstrapServers, DataDir


def consume(
    what: Annotated[
        str,
        typer.Argument(
            metavar="WHAT",
            help="responses, costs, totals, health, alerts, dead-letters, requests, routed, calls:<provider>, attempts, chunks, "
            "changelog, or a topic's name.",
        ),
    ],
    *,
    start: Annotated[
        str,
        typer.Option("--from", metavar="WHERE", help="beginning, end, a time such as 2026-01-31T15:00Z, or -<n>: the last n."),
    ] = "beginning",
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what comes, until Ctrl-C.")] = False,
    tenant: Annotated[str | None, typer.Option("--tenant", metavar="NAME", help="This tenant's records only.")] = None,
    limit: Annotated[int | None, typer.Option("--limit", metavar="N", min=1, help="Stop after N records.")] = None,
    bootstrap_servers: BootstrapServers = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Print the records of a topic, committed ones only, without joining a group.

    One line a record: position, time, key, and the fields that are set. With --json one object a line:
    {"topic", "partition", "offset", "timestamp", "key", "type", "record"}; a record that cannot be decoded has "error" instead of
    "record", and reading goes on.

    Exit codes: 0 done, 2 settings or no such topic, 130 Ctrl-C.
    """
    import asyncio  # noqa: PLC0415

    from streams.beginning import parse_start  # noqa: PLC0415
    from streams.cli.consuming import Wanted, run  # noqa: PLC0415

    wanted = Wanted(what=what, start=parse_start(start), follow=follow, tenant=tenant, limit=limit)
    asyncio.run(run(wanted, bootstrap_servers, data_dir, as_json=as_json))
