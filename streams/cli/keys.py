"""`penstock keys`: who may use the HTTP edge."""

from typing import Annotated

import typer

from schemas.keys import KeyRole
from streams.cli.options import AsJson, BootstrapServers, DataDir

app = typer.Typer(no_args_is_help=True, help="Who may use the HTTP edge: create, list and revoke keys.")


@app.command()
def create(
    *,
    tenant: Annotated[str, typer.Option("--tenant", metavar="NAME", help="Whose key it is: who asks, and who pays.")],
    role: Annotated[
        list[KeyRole] | None,
        typer.Option("--role", help="publish, read or admin; may be given again. Left out: publish and read."),
    ] = None,
    note: Annotated[str, typer.Option("--note", metavar="TEXT", help="What it is for.")] = "",
    bootstrap_servers: BootstrapServers = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Create a key and show it, once: only its HMAC is kept. Every edge accepts it within a second.

    `publish` asks, `read` sees the tenant's requests, streams, costs and dead letters, `admin` also what all tenants share.
    With --json {"key_id", "tenant", "roles", "key"}.

    Exit codes: 0 done, 2 settings.
    """
    import asyncio  # noqa: PLC0415

    from streams.cli.keeping_keys import run_create  # noqa: PLC0415

    roles = tuple(dict.fromkeys(role or (KeyRole.PUBLISH, KeyRole.READ)))
    asyncio.run(run_create(bootstrap_servers, data_dir, tenant=tenant, roles=roles, note=note, as_json=as_json))


@app.command(name="list")
def list_(
    *,
    tenant: Annotated[str | None, typer.Option("--tenant", metavar="NAME", help="This tenant's keys only.")] = None,
    bootstrap_servers: BootstrapServers = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """List all keys, the revoked ones too: their ids, never the keys.

    Exit codes: 0 done, 2 settings.
    """
    import asyncio  # noqa: PLC0415

    from streams.cli.keeping_keys import run_list  # noqa: PLC0415

    asyncio.run(run_list(bootstrap_servers, data_dir, tenant=tenant, as_json=as_json))


@app.command()
def revoke(
    key_id: Annotated[str, typer.Argument(metavar="KEY_ID", help="As `penstock keys list` shows it.")],
    *,
    bootstrap_servers: BootstrapServers = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """End a key for good. Every edge refuses it within a second; streams that it has begun run to their end.

    Exit codes: 0 done, 1 there is no such key, 2 settings.
    """
    import asyncio  # noqa: PLC0415

    from streams.cli.keeping_keys import run_revoke  # noqa: PLC0415

    raise typer.Exit(asyncio.run(run_revoke(bootstrap_servers, data_dir, key_id, as_json=as_json)))
