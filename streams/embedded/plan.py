"""What a stack shall consist of: decided before anything is started."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import SecretStr

from streams.settings import Settings


@dataclass(frozen=True, slots=True)
class Ports:
    """Where the embedded services listen, on the loopback interface. 0: where they did last time, or any free port."""

    kafka: int = 0
    valkey: int = 0
    catalogue: int = 0
    simulator: int = 0
    edge: int = 0


@dataclass(frozen=True, slots=True)
class StackPlan:
    """A whole pipeline on this machine.

    `settings` decides what is embedded: Kafka unless `bootstrap_servers` is set, Valkey unless `redis_url`, the schema
    catalogue unless `schema_registry_url`. `roles` says how many processes each worker role gets. `environment` is all that
    the children inherit; the stack adds the settings and the addresses. `broker_overrides` go into the embedded broker's
    properties, `topic_config` onto every topic.
    """

    settings: Settings
    providers: tuple[str, ...]
    roles: Mapping[str, int]
    environment: Mapping[str, str]
    simulator: bool
    simulator_profile: Path | None = None
    ports: Ports = Ports()
    broker_overrides: Mapping[str, str] = field(default_factory=dict)
    topic_config: Mapping[str, str] = field(default_factory=dict)
    broker_heap_mb: int = 384


def every_role(providers: tuple[str, ...], **counts: int) -> dict[str, int]:
    """One process of each role, or as many as `counts` says.

    >>> every_role(("openai",), dispatch=2)
    {'dispatch': 2, 'calls:openai': 1, 'tables': 1, 'health': 1, 'intake': 1}
    """
    roles = ("dispatch", *(f"calls:{provider}" for provider in providers), "tables", "health", "intake")
    return {role: counts.get(role, 1) for role in roles}


def environment_of(settings: Settings) -> dict[str, str]:
    """The environment variables that give a child the same settings; those that were left at their defaults stay out."""
    environment = {}
    for name in settings.model_fields_set:
        value = getattr(settings, name)
        if value is None:
            continue
        variable = Settings.model_fields[name].validation_alias or f"{Settings.model_config['env_prefix']}{name}".upper()
        environment[str(variable)] = value.get_secret_value() if isinstance(value, SecretStr) else str(value)
    return environment
