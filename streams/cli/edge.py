"""`penstock edge`: HTTP in front of the log, in this process."""

from typing import Annotated

import typer

from streams.cli.options import AsJson, BootstrapServers, DataDir


def edge(
    *,
    address: Annotated[str | None, typer.Option("--address", help="What to bind (PENSTOCK_EDGE_ADDRESS, 127.0.0.1).")] = None,
    port: Annotated[int | None, typer.Option("--port", min=1, max=65535, help="The port (PENSTOCK_EDGE_PORT, 8080).")] = None,
    insecure_local: Annotated[
        bool, typer.Option("--insecure-local", help="Ask for no key; refuses to bind anything but loopback.")
    ] = False,
    bootstrap_servers: BootstrapServers = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Serve OpenAI's paths, and more, until SIGTERM or Ctrl-C; `penstock up` starts it as well.

    It keeps nothing: it publishes to ai.requests and answers from ai.responses. Several processes may share the port, and whoever
    loses one goes on at another. With --json one object on standard output says when it is ready.

    Exit codes: 0 told to stop, 1 it failed and may be started again, 2 settings: a port taken, or no key needed beyond loopback.
    """
    from streams.cli.working import run  # noqa: PLC0415

    options = {"edge_address": address, "edge_port": port, "edge_insecure_local": insecure_local or None}
    raise typer.Exit(run("edge", bootstrap_servers, data_dir, options, as_json=as_json))
