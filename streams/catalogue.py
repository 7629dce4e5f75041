"""Loads what the operator wrote about deployments and prices, and finds out which providers can be called from here."""

import os
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import structlog
import yaml

from processors.cost.prices import PriceBook
from processors.route import catalogue as route_catalogue
from schemas.deployments import Deployment, DeploymentCatalogue, Provider
from schemas.errors import SettingsError
from streams.settings import Settings

log = structlog.get_logger(__name__)

MAX_FILE_BYTES = 4_000_000


def load_catalogue(settings: Settings) -> DeploymentCatalogue:
    """All providers and deployments of the operator's file, or of the built-in one. Raises SettingsError."""
    if settings.deployments_file is None:
        text = files("streams").joinpath("defaults", "deployments.yaml").read_text(encoding="utf-8")
        return route_catalogue.parse(_yaml(text, "the built-in catalogue"), source="the built-in catalogue")
    source = str(settings.deployments_file)
    return route_catalogue.parse(_yaml(_read(settings.deployments_file, "PENSTOCK_DEPLOYMENTS_FILE"), source), source=source)


def load_prices(settings: Settings, catalogue: DeploymentCatalogue) -> PriceBook:
    """The price book: the catalogue's own prices, the operator's price file, the built-in list. Raises SettingsError.

    It needs the whole catalogue, whoever holds the keys: a price must not depend on the process that asks for it.
    """
    if settings.prices_file is None:
        return PriceBook.of(catalogue)
    source = str(settings.prices_file)
    prices, version = route_catalogue.parse_prices(
        _yaml(_read(settings.prices_file, "PENSTOCK_PRICES_FILE"), source), source=source
    )
    return PriceBook.of(catalogue, prices, version)


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


def _read(path: Path, variable: str) -> str:
    try:
        if (size := path.stat().st_size) > MAX_FILE_BYTES:
            raise SettingsError(f"{path} has {size} bytes, {MAX_FILE_BYTES} are allowed; is it the right file?")
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} cannot be read ({type(error).__name__}); correct {variable}") from error


class _Loader(yaml.SafeLoader):
    """Refuses a key that stands twice in one mapping, of which YAML would silently keep the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002 - PyYAML's signature
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"the key {key!r} stands twice", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


def _yaml(text: str, source: str) -> Any:
    try:
        return yaml.load(text, Loader=_Loader)  # noqa: S506 - a SafeLoader
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "is no YAML"
        raise SettingsError(f"{source} cannot be read{where}: {problem}") from error
