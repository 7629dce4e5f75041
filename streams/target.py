"""Which Kafka a command talks to: the one that is named, else the embedded stack that runs on the data directory."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from schemas.errors import SettingsError
from streams.embedded.project import Project, StackInfo
from streams.settings import Settings


@dataclass(frozen=True, slots=True)
class Target:
    """`settings` carry the addresses to use; `stack` is the embedded stack they are of, None when the Kafka is the user's."""

    settings: Settings
    stack: StackInfo | None = None

    @property
    def bootstrap_servers(self) -> str:
        return str(self.settings.bootstrap_servers)


def read_settings(**options: Any) -> Settings:
    """The settings, with the options that were given on top. Raises SettingsError, naming each variable that is wrong."""
    given = {name: value for name, value in options.items() if value is not None}
    try:
        return Settings(**given)
    except ValidationError as error:
        raise SettingsError("; ".join(_said(problem) for problem in error.errors(include_input=False))) from None


def find_target(bootstrap_servers: str | None, data_dir: Path | None) -> Target:
    """Raises SettingsError when no Kafka is named and no stack runs."""
    settings = read_settings(bootstrap_servers=bootstrap_servers, data_dir=data_dir)
    if settings.bootstrap_servers is not None:
        return Target(settings)
    stack = Project(settings.data_dir).running()
    if stack is None:
        raise SettingsError(
            f"no stack runs on {settings.data_dir} and no Kafka is named: start one with `penstock up`, "
            "or pass --bootstrap-servers (PENSTOCK_BOOTSTRAP_SERVERS)"
        )
    found: dict[str, Any] = {"bootstrap_servers": stack.bootstrap_servers}
    if settings.redis_url is None:
        found["redis_url"] = stack.redis_url
    if settings.simulator_url is None:
        found["simulator_url"] = stack.simulator_url
    if settings.schema_registry_url is None and "catalogue" not in stack.parts:
        found["schema_registry_url"] = stack.schema_registry_url
    return Target(settings.model_copy(update=found), stack)


def _said(problem: Any) -> str:
    name = str(problem["loc"][0]) if problem["loc"] else "?"
    field = Settings.model_fields.get(name)
    variable = str((field.validation_alias if field else None) or name)
    if variable == name and not name.isupper():
        variable = f"PENSTOCK_{name.upper()}"
    return f"{variable}: {problem['msg']}"


def with_options(target: Target, options: Mapping[str, Any]) -> Target:
    """The target with settings of the command line on top. Raises SettingsError when one cannot be."""
    given = {name: value for name, value in options.items() if value is not None}
    return Target(target.settings.model_copy(update=given), target.stack)
