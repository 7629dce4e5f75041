"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

BootstrapServers = Annotated[
    str | None,
    typer.Option(
        "--bootstrap-servers",
        metavar="HOST:PORT",
        help="Kafka to use (PENSTOCK_BOOTSTRAP_SERVERS); else the stack that `penstock up` runs on the data directory.",
    ),
]
DataDir = Annotated[
    Path | None,
    typer.Option("--data-dir", metavar="DIR", help="Data directory of the embedded stack (PENSTOCK_DATA_DIR, .penstock)."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Machine-readable: JSON on standard output, nothing else.")]
Tenant = Annotated[str, typer.Option("--tenant", metavar="NAME", help="Who asks, and who pays.")]
Model = Annotated[
    str, typer.Option("--model", metavar="MODEL", help="A model, a deployment of the catalogue, or `auto`: the cheapest healthy.")
]
