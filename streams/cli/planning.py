"""From options to the plan of a stack: which providers, whether they are simulated, how many workers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from schemas.deployments import DeploymentCatalogue
from schemas.errors import SettingsError
from streams.catalogue import load_catalogue, not_callable
from streams.embedded.assembly import EDGE
from streams.embedded.plan import Ports, StackPlan, every_role
from streams.settings import Settings

CHOSEN_FILE = "deployments.json"
WEBHOOKS = "webhooks"


@dataclass(frozen=True, slots=True)
class Wish:
    """What `penstock up` was asked for. `simulator` None: when no provider has a key."""

    providers: tuple[str, ...] = ()
    workers: tuple[str, ...] = ()
    simulator: bool | None = None
    simulator_profile: Path | None = None
    ports: Ports = field(default_factory=Ports)


def plan_of(wish: Wish, settings: Settings, environment: Mapping[str, str]) -> StackPlan:
    """Raises SettingsError when the options, the keys and the catalogue do not fit together.

    A choice of providers is written into the data directory as a catalogue of their deployments alone, so that routing
    never chooses a provider that no worker calls.
    """
    catalogue = load_catalogue(settings)
    unknown = sorted(set(wish.providers) - catalogue.providers.keys())
    if unknown:
        raise SettingsError(f"the catalogue has no provider {', '.join(unknown)}; it has {', '.join(catalogue.providers)}")
    asked = wish.providers or tuple(catalogue.providers)
    missing = not_callable(catalogue, settings, environment)
    simulator = _simulated(wish, settings, asked, missing)
    if wish.simulator_profile is not None and not simulator:
        raise SettingsError("--simulator-profile needs the simulator: add --simulator, or leave it out")
    callable_ = asked if simulator else tuple(name for name in asked if name not in missing)
    if wish.providers and (left_out := [name for name in wish.providers if name not in callable_]):
        needed = ", ".join(f"{missing[name]} for {name}" for name in left_out)
        raise SettingsError(f"a provider cannot be called: set {needed}, or simulate all with --simulator")
    if not callable_:
        raise SettingsError(f"no provider can be called: set one of {', '.join(missing.values())}, or use the simulator")
    if set(callable_) != set(catalogue.providers):
        settings = settings.model_copy(update={"deployments_file": _write_choice(settings, catalogue, callable_)})
    return StackPlan(
        settings=settings,
        providers=callable_,
        roles=roles_of(callable_, wish.workers),
        environment=environment,
        simulator=simulator,
        simulator_profile=wish.simulator_profile and wish.simulator_profile.absolute(),
        ports=wish.ports,
    )


def roles_of(providers: tuple[str, ...], workers: Sequence[str]) -> dict[str, int]:
    """How many processes each role gets; `workers` are `role=n`. Raises SettingsError.

    >>> roles_of(("openai",), ["dispatch=2"])["dispatch"]
    2
    """
    roles = {**every_role(providers), EDGE: 1, WEBHOOKS: 1}
    for text in workers:
        role, _, count = text.partition("=")
        if role not in roles or not count.isdecimal() or not 0 < int(count) <= 64:
            raise SettingsError(f"--workers {text!r} is not ROLE=N with N from 1 to 64; the roles are {', '.join(roles)}")
        roles[role] = int(count)
    return roles


def _simulated(wish: Wish, settings: Settings, asked: Sequence[str], missing: Mapping[str, str]) -> bool:
    """Whether the stack runs a simulator of its own."""
    if settings.simulator_url is not None:
        if wish.simulator:
            raise SettingsError("PENSTOCK_SIMULATOR_URL names a simulator already: unset it, or leave --simulator out")
        return False
    return wish.simulator if wish.simulator is not None else all(name in missing for name in asked)


def _write_choice(settings: Settings, catalogue: DeploymentCatalogue, providers: Sequence[str]) -> Path:
    """The operator's own file, or the built-in one, without the other providers."""
    from importlib.resources import files  # noqa: PLC0415

    source = settings.deployments_file or files("streams").joinpath("defaults", "deployments.yaml")
    raw: dict[str, Any] = yaml.safe_load(source.read_text(encoding="utf-8"))
    raw["providers"] = {name: entry for name, entry in raw["providers"].items() if name in providers}
    raw["deployments"] = [entry for entry in raw["deployments"] if entry["provider"] in providers]
    if not raw["deployments"]:
        raise SettingsError(f"the catalogue {catalogue.version} has no deployment of {', '.join(providers)}")
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    path = settings.data_dir.absolute() / CHOSEN_FILE
    path.write_text(yaml.safe_dump(raw, sort_keys=False), encoding="utf-8")
    return path
