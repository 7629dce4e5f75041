"""`penstock topics`: what topics there are, and what each is for."""

import typer

from streams.cli.options import AsJson, BootstrapServers, DataDir


def topics(*, bootstrap_servers: BootstrapServers = None, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """List the topics: partitions, retention, record, schema id, records so far, and what each is for.

    Exit codes: 0 all there, 1 a topic is missing, 2 settings.
    """
    import asyncio  # noqa: PLC0415

    from streams.cli.listing import run  # noqa: PLC0415

    raise typer.Exit(asyncio.run(run(bootstrap_servers, data_dir, as_json=as_json)))
