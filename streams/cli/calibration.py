"""`penstock calibration`: how far the token estimate is off, by what providers reported."""

from typing import Annotated

import typer

from streams.cli.options import AsJson, BootstrapServers, DataDir


def calibration(
    *,
    last: Annotated[
        int, typer.Option("--last", metavar="COUNT", min=1, help="Read so many records of each partition of ai.costs.")
    ] = 2_000,
    bootstrap_servers: BootstrapServers = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Show how the input tokens that providers reported compare with the estimate, by provider and model.

    Percentiles are of the reported tokens as a multiple of the estimate. With the factor the estimate is an upper bound in 99 of
    100 calls; from 100 calls on, routing and the charge of lost calls use it. It never lowers an estimate.

    With --json one object: {"models": [{"provider", "model", "calls", "p5", "p50", "p95", "p99", "factor", "used"}]}.

    Exit codes: 0 done, 2 settings, 130 Ctrl-C.
    """
    import asyncio  # noqa: PLC0415

    from streams.cli.calibrating import run  # noqa: PLC0415

    asyncio.run(run(bootstrap_servers, data_dir, last=last, as_json=as_json))
