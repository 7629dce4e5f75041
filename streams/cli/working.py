"""Runs a role: what `penstock worker` does."""

import asyncio
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import structlog
from aiokafka.errors import KafkaError

from streams.cli.exits import ExitCode
from streams.roles import module_of, run_role
from streams.target import find_target, with_options

log = structlog.get_logger(__name__)


def run(
    role: str,
    bootstrap_servers: str | None,
    data_dir: Path | None,
    options: Mapping[str, Any] = MappingProxyType({}),
    *,
    as_json: bool = False,
) -> ExitCode:
    """Run the role to its end. Raises SettingsError for a role that is none, and for settings that cannot work."""
    import uvloop  # noqa: PLC0415 - not on every platform

    module_of(role)
    settings = with_options(find_target(bootstrap_servers, data_dir), options).settings
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            runner.run(run_role(role, settings, on_ready=lambda: _say_ready(role, as_json=as_json)))
        except KafkaError as error:
            log.error("role_failed", role=role, error=type(error).__name__, message=str(error)[:300])  # noqa: TRY400 - no traceback for a broker that is away
            return ExitCode.NO
    return ExitCode.OK


def _say_ready(role: str, *, as_json: bool) -> None:
    if not as_json:
        return
    sys.stdout.write(json.dumps({"ready": role}) + "\n")
    sys.stdout.flush()
