"""`penstock worker`: one role in this process."""

from typing import Annotated

import typer

from streams.cli.options import AsJson, BootstrapServers, DataDir


def worker(
    *,
    role: Annotated[
        str, typer.Option("--role", metavar="ROLE", help="intake, dispatch, tables, health, edge, webhooks, or calls:<provider>.")
    ],
    bootstrap_servers: BootstrapServers = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Run one role until SIGTERM or Ctrl-C: how a deployment runs Penstock, a process (or many) a role.

    It stops taking work, finishes what is under way within PENSTOCK_DRAIN_TIMEOUT_S, and ends. Logs go to standard error, a JSON
    object a line. With --json one object on standard output says when it is ready.

    Exit codes: 0 told to stop, 1 it failed and may be started again, 2 settings: starting it again cannot help.
    """
    from streams.cli.working import run  # noqa: PLC0415

    raise typer.Exit(run(role, bootstrap_servers, data_dir, as_json=as_json))
