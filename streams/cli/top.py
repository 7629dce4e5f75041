"""`penstock top`: what goes through, live, in the terminal."""

from typing import Annotated

import typer

from streams.cli.options import AsJson, DataDir


def top(
    *,
    edge_url: Annotated[
        str | None,
        typer.Option("--edge-url", metavar="URL", help="The edge to ask; else that of the stack on the data directory."),
    ] = None,
    key: Annotated[
        str | None,
        typer.Option("--key", metavar="KEY", envvar="PENSTOCK_KEY", help="A key with the role read or admin.", show_envvar=True),
    ] = None,
    tenant: Annotated[str | None, typer.Option("--tenant", metavar="NAME", help="With an admin key: this tenant alone.")] = None,
    once: Annotated[bool, typer.Option("--once", help="Print what is now as text, and end.")] = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Show requests a second, latencies, spend, the cache, health, lag, the last answers and dead letters, live.

    It asks the HTTP edge (`GET /v1/live`), as the page at the edge's address does. A key with the role `read` sees its own
    tenant, one with `admin` all. When the connection is lost it says so, and tries again.

    Keys: arrows and Enter show a request's lineage, Esc hides it, p pauses the list, s changes what the spend is by, d shows
    dead letters, q quits.

    With --json one object, as the edge tells it, and the end: it means --once.

    Exit codes: 0 done, 2 settings: no edge, or no key it accepts; 3 the edge told nothing in time.
    """
    import asyncio  # noqa: PLC0415

    from streams.cli.top_running import run  # noqa: PLC0415

    raise typer.Exit(asyncio.run(run(edge_url, key, tenant, data_dir, once=once or as_json, as_json=as_json)))
