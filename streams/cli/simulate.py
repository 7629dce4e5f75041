"""`penstock simulate`: the provider simulator by itself."""

from pathlib import Path
from typing import Annotated

import typer

from streams.cli.options import AsJson


def simulate(
    *,
    host: Annotated[str, typer.Option("--host", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Port, 0 for a free one.")] = 0,
    provider_port: Annotated[
        list[str] | None, typer.Option("--provider-port", metavar="PROVIDER=PORT", help="A port of a provider's own.")
    ] = None,
    call_log: Annotated[
        Path | None, typer.Option("--call-log", metavar="FILE", help="File that every call is appended to.")
    ] = None,
    no_fsync: Annotated[bool, typer.Option("--no-fsync", help="Leave the call log to the operating system.")] = False,
    profile: Annotated[Path | None, typer.Option("--profile", metavar="YAML", help="Latencies and faults.")] = None,
    first_token_ms: Annotated[
        float | None, typer.Option("--first-token-ms", help="Fixed time to the first byte, of unnamed providers.")
    ] = None,
    per_token_ms: Annotated[
        float | None, typer.Option("--per-token-ms", help="Fixed time for each token, of unnamed providers.")
    ] = None,
    fault: Annotated[
        list[str] | None, typer.Option("--fault", metavar="PROVIDER=FAULT[@CONDITION=VALUE,...]", help="A fault to inject.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Serve simulated OpenAI, Anthropic, Google and Ollama endpoints, with latencies and faults, until SIGTERM.

    Point Penstock at it with PENSTOCK_SIMULATOR_URL, or any SDK at <address>/<provider>.

    Exit codes: 0 told to stop, 1 the call log failed, 2 options or profile.
    """
    from streams.simulator.__main__ import main  # noqa: PLC0415

    argv = ["--host", host, "--port", str(port)]
    for name, values in (("--provider-port", provider_port), ("--fault", fault)):
        argv += [part for value in values or () for part in (name, value)]
    single = {"--call-log": call_log, "--profile": profile, "--first-token-ms": first_token_ms, "--per-token-ms": per_token_ms}
    argv += [part for name, value in single.items() if value is not None for part in (name, str(value))]
    if no_fsync:
        argv.append("--no-fsync")
    if as_json:
        argv.append("--json")
    raise typer.Exit(main(argv))
