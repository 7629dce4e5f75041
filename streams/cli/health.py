"""`penstock health`: how the deployments are, as the whole fleet has found them."""

from typing import Annotated

import typer

from streams.cli.options import AsJson, BootstrapServers, DataDir


def health(
    *,
    watch: Annotated[bool, typer.Option("--watch", help="Show it live, until Ctrl-C.")] = False,
    bootstrap_servers: BootstrapServers = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Show each deployment's circuit, success rate, latency, calls in flight, rate-limit headroom, and the alerts that stand.

    It folds what calls and probes told within the last quarter of an hour. Rates and latencies are those of the last minutes;
    latencies are off by 5 % at most. Headroom is what is left of the key's limits, where the provider tells it.

    With --json one object: {"deployments": [{"deployment", "circuit", "success_rate", "p95_ms", ...}], "alerts": [...]}; with
    --watch one such line a second.

    Exit codes: 0 all is well, 1 a circuit is not closed or an alert stands, 2 settings, 130 Ctrl-C.
    """
    import asyncio  # noqa: PLC0415

    from streams.cli.health_showing import run  # noqa: PLC0415

    raise typer.Exit(asyncio.run(run(bootstrap_servers, data_dir, watch=watch, as_json=as_json)))
