"""`penstock refit`: the learned routing policy, fitted on judged answers."""

from pathlib import Path
from typing import Annotated

import typer

from streams.cli.options import AsJson, BootstrapServers, DataDir


def refit(
    *,
    weak: Annotated[str, typer.Option("--weak", metavar="DEPLOYMENT", help="The cheaper deployment.")],
    strong: Annotated[str, typer.Option("--strong", metavar="DEPLOYMENT", help="The dearer deployment.")],
    output: Annotated[Path, typer.Option("--output", metavar="FILE", help="Where the new model is written.")],
    model: Annotated[
        Path | None, typer.Option("--model", metavar="FILE", help="The model to learn on from; else the one in use.")
    ] = None,
    bootstrap_servers: BootstrapServers = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Learn from ai.feedback for which prompts the dearer deployment pays, and write a new version of the model.

    It learns from prompts of which both deployments' answers were judged. One in five is held out and judges: a model that does
    not rank those better than the old one is not written. Nothing changes until PENSTOCK_QUALITY_MODEL_FILE names the new file.

    Exit codes: 0 a new version was written, 1 the old one stays, 2 settings.
    """
    import asyncio  # noqa: PLC0415

    from streams.cli.refitting import Wanted, run  # noqa: PLC0415

    raise typer.Exit(asyncio.run(run(Wanted(weak, strong, output, model), bootstrap_servers, data_dir, as_json=as_json)))
