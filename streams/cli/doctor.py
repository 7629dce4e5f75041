"""`penstock doctor`: what is wrong, and what to do about it."""

import typer

from streams.cli.options import AsJson, BootstrapServers, DataDir


def doctor(*, bootstrap_servers: BootstrapServers = None, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Check settings, Kafka, topics, lanes, registry, Valkey, provider keys, clock, backlog and dead letters.

    One line a check: ok, warn or fail, with the next step. Keys are never shown. Nothing is written anywhere. With --json one
    object a check.

    Exit codes: 0 nothing failed (warnings allowed), 1 something failed.
    """
    import asyncio  # noqa: PLC0415
    import os  # noqa: PLC0415

    from streams.cli.examining import run  # noqa: PLC0415

    raise typer.Exit(asyncio.run(run(bootstrap_servers, data_dir, dict(os.environ), as_json=as_json)))
