"""`python -m streams.simulator`: serve until SIGTERM."""

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import uvloop

from schemas.errors import SettingsError
from streams.simulator.profile_text import load, parse_option, with_rule
from streams.simulator.profiles import Latency, Profiles
from streams.simulator.running import Running, run
from streams.simulator.settings import SimulatorSettings


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m streams.simulator", description="Simulated AI providers.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (127.0.0.1)")
    parser.add_argument("--port", type=int, default=0, help="port, 0 for a free one (0)")
    parser.add_argument("--json", action="store_true", help="say where it listens as one JSON object")
    parser.add_argument("--provider-port", action="append", default=[], metavar="PROVIDER=PORT", help="a port of its own")
    parser.add_argument("--call-log", type=Path, help="file that every call is appended to")
    parser.add_argument("--no-fsync", action="store_true", help="leave the call log to the operating system")
    parser.add_argument("--profile", type=Path, help="YAML file of latencies and faults")
    parser.add_argument("--first-token-ms", type=float, help="fixed time to the first byte, of unnamed providers")
    parser.add_argument("--per-token-ms", type=float, help="fixed time for each token, of unnamed providers")
    parser.add_argument("--fault", action="append", default=[], metavar="PROVIDER=FAULT[@CONDITION=VALUE,...]")
    return parser


def _provider_ports(options: Sequence[str]) -> dict[str, int]:
    ports = {}
    for option in options:
        provider, _, number = option.partition("=")
        if not provider or not number.isdigit() or int(number) > 65_535:
            raise SettingsError(f"--provider-port {option!r} is not PROVIDER=PORT")
        ports[provider] = int(number)
    return ports


def settings_of(arguments: argparse.Namespace) -> SimulatorSettings:
    """Raises SettingsError when the options do not fit together."""
    profiles = load(arguments.profile) if arguments.profile else Profiles()
    default = profiles.default
    if arguments.first_token_ms is not None:
        default = replace(default, first_token_ms=Latency(arguments.first_token_ms))
    if arguments.per_token_ms is not None:
        default = replace(default, per_token_ms=Latency(arguments.per_token_ms))
    profiles = replace(profiles, default=default)
    for option in arguments.fault:
        profiles = with_rule(profiles, *parse_option(option))
    return SimulatorSettings(
        host=arguments.host,
        port=arguments.port,
        provider_ports=_provider_ports(arguments.provider_port),
        call_log=arguments.call_log,
        fsync=not arguments.no_fsync,
        profiles=profiles,
    )


def _ready_json(running: Running) -> None:
    providers = {provider: running.url_of(provider) for provider in running.provider_ports}
    sys.stdout.write(json.dumps({"ready": "simulator", "url": running.url, "providers": providers}) + "\n")
    sys.stdout.flush()


def _ready(running: Running) -> None:
    sys.stdout.write(f"simulator ready {running.url}\n")
    for provider in running.provider_ports:
        sys.stdout.write(f"simulator ready {running.url_of(provider)} {provider}\n")
    sys.stdout.flush()


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code: 0, 1 when the call log failed, 2 when the options or the profile are wrong."""
    try:
        arguments = _parser().parse_args(argv)
        settings, ready = settings_of(arguments), _ready_json if arguments.json else _ready
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(run(settings, ready=ready))
    except SettingsError as error:
        sys.stderr.write(f"simulator: {error}\n")
        return 2


if __name__ == "__main__":
    sys.exit(main())
