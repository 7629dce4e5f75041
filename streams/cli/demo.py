"""`penstock demo`: everything at once, on real input, checked at the end."""

from pathlib import Path
from typing import Annotated

import typer

from streams.cli.options import AsJson


def demo(
    *,
    requests: Annotated[
        Path | None, typer.Option("--requests", metavar="FILE", help="Requests to publish; those of examples/ if left out.")
    ] = None,
    data_dir: Annotated[
        Path | None, typer.Option("--data-dir", metavar="DIR", help="Keep the data here; else it goes away at the end.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Start a stack of its own with simulated providers, publish the example requests, show answers and costs, verify, stop.

    It costs nothing, uses no key, and leaves nothing running.

    Exit codes: 0 verify is clean, 1 it is not, 2 settings.
    """
    import asyncio  # noqa: PLC0415

    from streams.cli.demonstrating import run  # noqa: PLC0415

    raise typer.Exit(asyncio.run(run(requests, data_dir, as_json=as_json)))
