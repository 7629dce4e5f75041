"""docker-compose.yml as Compose reads it: interpolated, merged, profiles chosen. No Docker is needed for any of it."""

import re
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
_REFERENCE = re.compile(r"\$\{(\w+)(?:(:?-)([^}]*))?\}")

TOP_LEVEL = {"name", "services", "networks", "volumes", "configs", "secrets", "include"}
SERVICE_KEYS = {
    "build",
    "cap_drop",
    "command",
    "depends_on",
    "deploy",
    "entrypoint",
    "env_file",
    "environment",
    "healthcheck",
    "image",
    "init",
    "ports",
    "profiles",
    "read_only",
    "restart",
    "security_opt",
    "stop_grace_period",
    "tmpfs",
    "user",
    "volumes",
    "working_dir",
}
"""Those of the Compose Specification that the file may use; another one is added here after reading what it does."""


def load(variables: dict[str, str] | None = None) -> dict[str, Any]:
    """The file with `variables` in place of an environment."""
    text = (ROOT / "docker-compose.yml").read_text("utf-8")
    content: dict[str, Any] = yaml.safe_load(interpolated(text, variables or {}))
    return content


def interpolated(text: str, variables: dict[str, str]) -> str:
    """`${NAME}`, `${NAME-default}` when unset and `${NAME:-default}` when unset or empty, as Compose does; `$$` is a dollar.

    >>> interpolated("a ${X-1} b ${X:-2} c", {"X": ""})
    'a  b 2 c'
    """

    def value(found: re.Match[str]) -> str:
        name, operator, default = found.groups()
        if name not in variables or (operator == ":-" and not variables[name]):
            return default or ""
        return variables[name]

    return _REFERENCE.sub(value, text).replace("$$", "$")


def started(content: dict[str, Any], profiles: set[str]) -> dict[str, dict[str, Any]]:
    """The services that `docker compose up` starts with these profiles."""
    return {
        name: service
        for name, service in content["services"].items()
        if not service.get("profiles") or profiles.intersection(service["profiles"])
    }


def seconds(duration: str | int) -> float:
    """A Compose duration in seconds.

    >>> seconds("1m30s")
    90.0
    """
    units = {"h": 3600, "m": 60, "s": 1, "ms": 0.001}
    return float(sum(float(n) * units[unit] for n, unit in re.findall(r"([\d.]+)(ms|h|m|s)", str(duration))))
