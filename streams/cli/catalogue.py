"""`penstock catalogue`: the schema catalogue by itself."""

from typing import Annotated

import typer

from streams.cli.options import AsJson


def catalogue(
    *,
    host: Annotated[str, typer.Option("--host", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Port, 0 for a free one.")] = 8081,
    providers: Annotated[str, typer.Option("--providers", metavar="NAME,...", help="Providers whose topics are listed.")] = "",
    as_json: AsJson = False,
) -> None:
    """Serve the built-in schemas read-only over Confluent's REST paths, until SIGTERM.

    Any Confluent deserializer reads our topics with it; `penstock up` runs one by itself.

    Exit codes: 0 told to stop, 2 the port is taken.
    """
    from streams.edge.catalogue import main  # noqa: PLC0415

    raise typer.Exit(main(["--host", host, "--port", str(port), "--providers", providers, *(["--json"] if as_json else [])]))
