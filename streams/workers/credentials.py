"""Where a provider is and with which key it is called, from the catalogue, the environment and the settings."""

from collections.abc import Mapping
from dataclasses import replace

from processors.providers.build import build, simulated_address
from processors.providers.contract import Adapter
from schemas.deployments import DeploymentCatalogue, Provider
from schemas.errors import SettingsError
from streams.settings import SIMULATED_KEY, Settings


def provider_of(role: str, catalogue: DeploymentCatalogue) -> Provider:
    """The provider of a role `calls:<provider>`. Raises SettingsError when the catalogue has none of that name."""
    name = role.partition(":")[2]
    provider = catalogue.providers.get(name)
    if provider is None:
        known = ", ".join(sorted(catalogue.providers)) or "none"
        raise SettingsError(f"role {role!r}: the deployment catalogue has no provider {name!r}; it has {known}")
    return provider


def adapter_of(provider: Provider, settings: Settings, environment: Mapping[str, str], *, connections: int) -> Adapter:
    """The adapter that calls the provider, or the simulator in its place.

    Raises SettingsError, naming the variable to set, when a key is missing or the address is none.
    """
    if settings.simulator_url is not None:
        address = simulated_address(provider, settings.simulator_url)
        return build(provider, api_key=SIMULATED_KEY, address=address, connections=connections)
    address = environment.get(provider.address_env or "", "").strip() or provider.address
    key = environment.get(provider.key_env) if provider.key_env is not None else None
    return build(replace(provider, address=address), api_key=key, connections=connections)
