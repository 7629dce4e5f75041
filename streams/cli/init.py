"""`penstock init`: prepare the user's own Kafka."""

from typing import Annotated

import typer

from streams.cli.options import AsJson, BootstrapServers, DataDir


def init(
    *,
    partitions: Annotated[
        int | None,
        typer.Option("--partitions", min=1, max=1024, help="Partitions and lanes, chosen once (PENSTOCK_PARTITIONS)."),
    ] = None,
    replication_factor: Annotated[
        int | None, typer.Option("--replication-factor", min=1, help="Replicas of each topic (PENSTOCK_REPLICATION_FACTOR).")
    ] = None,
    bootstrap_servers: BootstrapServers = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Create the topics and register the schemas; what stands already stays as it is.

    Exit codes: 0 ready, 2 settings (Kafka or the registry away, another lane count).
    """
    import asyncio  # noqa: PLC0415

    from streams.cli.preparing import run  # noqa: PLC0415

    options = {"partitions": partitions, "replication_factor": replication_factor}
    asyncio.run(run(bootstrap_servers, data_dir, options, as_json=as_json))
