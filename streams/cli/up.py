"""`penstock up`: the whole pipeline on this machine."""

from pathlib import Path
from typing import Annotated

import typer

from streams.cli.options import AsJson, BootstrapServers, DataDir


def up(
    *,
    providers: Annotated[
        str, typer.Option("--providers", metavar="NAME,...", help="Providers to call; all that can be called, if left out.")
    ] = "",
    workers: Annotated[
        list[str] | None, typer.Option("--workers", metavar="ROLE=N", help="Processes of a role, e.g. dispatch=2; one each.")
    ] = None,
    partitions: Annotated[
        int | None, typer.Option("--partitions", min=1, max=1024, help="Partitions and lanes, chosen once, at the first start.")
    ] = None,
    simulator: Annotated[
        bool | None,
        typer.Option("--simulator/--no-simulator", help="Simulate the providers; the default when no provider has a key."),
    ] = None,
    simulator_profile: Annotated[
        Path | None, typer.Option("--simulator-profile", metavar="YAML", help="The simulator's latencies and faults.")
    ] = None,
    port: Annotated[int, typer.Option("--port", "--kafka-port", min=0, max=65535, help="Kafka's port; 0: as last time.")] = 0,
    valkey_port: Annotated[int, typer.Option("--valkey-port", min=0, max=65535, help="Valkey's port.")] = 0,
    catalogue_port: Annotated[int, typer.Option("--catalogue-port", min=0, max=65535, help="The schema catalogue's port.")] = 0,
    simulator_port: Annotated[int, typer.Option("--simulator-port", min=0, max=65535, help="The simulator's port.")] = 0,
    edge_port: Annotated[int, typer.Option("--edge-port", min=0, max=65535, help="The HTTP edge's port.")] = 0,
    bootstrap_servers: BootstrapServers = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Start Kafka, Valkey, the schema catalogue, the simulator and all workers; run until Ctrl-C or SIGTERM.

    Yours are used where you name them: --bootstrap-servers, REDIS_URL, SCHEMA_REGISTRY_URL. Providers are those whose key is
    set (OPENAI_API_KEY, ANTHROPIC_API_KEY, ...); without any key, all are simulated. Data stays in the data directory and is
    used by the next start. With --json one object an event.

    Exit codes: 0 told to stop, 2 settings: a second `up` on the same data, a port taken, no network at the first start.
    """
    import asyncio  # noqa: PLC0415

    from streams.cli.planning import Wish  # noqa: PLC0415
    from streams.cli.running import run  # noqa: PLC0415
    from streams.embedded.plan import Ports  # noqa: PLC0415

    wish = Wish(
        providers=tuple(filter(None, (name.strip() for name in providers.split(",")))),
        workers=tuple(workers or ()),
        simulator=simulator,
        simulator_profile=simulator_profile,
        ports=Ports(kafka=port, valkey=valkey_port, catalogue=catalogue_port, simulator=simulator_port, edge=edge_port),
    )
    options = {"bootstrap_servers": bootstrap_servers, "data_dir": data_dir, "partitions": partitions}
    raise typer.Exit(asyncio.run(run(wish, options, as_json=as_json)))
