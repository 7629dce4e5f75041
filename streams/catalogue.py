"""Loads what the operator wrote about deployments, and finds out which providers can be called from here."""

import os
from collections.abc import Mapping
from importlib.resources import files

import structlog

from processors.route import catalogue as route_catalogue
from schemas.deployments import Deployment, DeploymentCatalogue, Provider
from streams.operator_file import parsed, text_of
from streams.settings import Settings

log = structlog.get_logger(__name__)


def load_catalogue(settings: Settings) -> DeploymentCatalogue:
    """All providers and deployments of the operator's file, or of the built-in one. Raises SettingsError."""
    if settings.deployments_file is None:
        text = files("streams").joinpath("defaults", "deployments.yaml").read_text(encoding="utf-8")
        return route_catalogue.parse(parsed(text, "the built-in catalogue"), source="the built-in catalogue")
    source = str(settings.deployments_file)
    return route_catalogue.parse(parsed(text_of(settings.deployments_file, "PENSTOCK_DEPLOYMENTS_FILE"), source), source=source)


def not_callable(catalogue: DeploymentCatalogue, settings: Settings, environment: Mapping[str, str]) -> dict[str, str]:
    """The providers that cannot be called from this environment, each with the variable to set.

    A provider with a key variable needs the key; one with an address variable alone (Ollama) needs the address, for without
    it nobody said that such a server runs. With a simulator, all can be called.
    """
    if settings.simulator_url is not None:
        return {}
    missing = {name: _missing(provider, environment) for name, provider in catalogue.providers.items()}
    return {name: variable for name, variable in missing.items() if variable is not None}


def callable_deployments(
    catalogue: DeploymentCatalogue, settings: Settings, environment: Mapping[str, str] | None = None
) -> tuple[Deployment, ...]:
    """The deployments that routing may choose. Says in the log which providers are left out, and what to set for them."""
    left_out = not_callable(catalogue, settings, os.environ if environment is None else environment)
    if left_out:
        log.info("providers_left_out", set_to_use_them={name: f"{variable}=…" for name, variable in sorted(left_out.items())})
    return tuple(d for d in catalogue.deployments if d.provider not in left_out)


def _missing(provider: Provider, environment: Mapping[str, str]) -> str | None:
    needed = provider.key_env or provider.address_env
    return needed if needed is not None and not environment.get(needed, "").strip() else None
