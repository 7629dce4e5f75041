"""`penstock cache`: what the answer cache saves, and how to make it forget."""

from typing import Annotated

import typer

from streams.cli.options import AsJson, BootstrapServers, DataDir

app = typer.Typer(no_args_is_help=True, help="What the answer cache saves, and how to make it forget.")


@app.command()
def stats(
    *,
    since: Annotated[
        str | None, typer.Option("--since", metavar="TIME", help="Answers from this time on, e.g. 2026-01-31T15:00Z.")
    ] = None,
    tenant: Annotated[str | None, typer.Option("--tenant", metavar="NAME", help="This tenant's answers only.")] = None,
    bootstrap_servers: BootstrapServers = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Show how many final responses came from the cache, of all that asked it, and what that saved; from the log.

    Exit codes: 0 done, 2 settings.
    """
    import asyncio  # noqa: PLC0415

    from streams.cli.caching import show_stats  # noqa: PLC0415

    asyncio.run(show_stats(bootstrap_servers, data_dir, since=since, tenant=tenant, as_json=as_json))


@app.command()
def drop(
    *,
    tenant: Annotated[str | None, typer.Option("--tenant", metavar="NAME", help="Answers of this tenant.")] = None,
    model: Annotated[
        str | None, typer.Option("--model", metavar="MODEL", help="Answers of this model or deployment, or asked of it.")
    ] = None,
    pattern: Annotated[
        str | None,
        typer.Option("--pattern", metavar="GLOB", help="Answers whose key, `<tenant>:<model asked for>:<digest>`, matches."),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="All answers.")] = False,
    bootstrap_servers: BootstrapServers = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Forget kept answers: of a tenant, of a model, by a pattern, or all. Conditions that are given together must all hold.

    Intake processes hold what they met in the last minute: within one, a dropped answer is given no more.

    Exit codes: 0 done, 2 settings.
    """
    import asyncio  # noqa: PLC0415

    from streams.cli.caching import Condition, run_drop  # noqa: PLC0415

    condition = Condition(tenant, model, pattern)
    asyncio.run(run_drop(condition, bootstrap_servers, data_dir, everything=everything, as_json=as_json))
