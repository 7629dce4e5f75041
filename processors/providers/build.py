"""Providers of the catalogue into adapters. Only the adapter that is wanted is imported: an SDK costs tens of megabytes."""

from typing import assert_never
from urllib.parse import urlsplit

from processors.providers.contract import Adapter
from schemas.deployments import Provider, ProviderKind
from schemas.errors import SettingsError

_SIMULATED_PATH = {
    ProviderKind.OPENAI: "/v1",
    ProviderKind.ANTHROPIC: "",
    ProviderKind.GOOGLE: "/v1beta",
    ProviderKind.OLLAMA: "",
}


def simulated_address(provider: Provider, simulator_url: str) -> str:
    """Where the simulator plays a provider.

    >>> simulated_address(Provider("deepseek", ProviderKind.OPENAI, "https://api.deepseek.com"), "http://127.0.0.1:9009/")
    'http://127.0.0.1:9009/deepseek/v1'
    """
    return f"{simulator_url.rstrip('/')}/{provider.name}{_SIMULATED_PATH[provider.kind]}"


def build(provider: Provider, *, api_key: str | None, address: str | None = None, connections: int = 256) -> Adapter:
    """The adapter of a provider at `address`, or at its own. `connections` bounds how many calls can be in flight.

    Raises SettingsError when the key is missing where one is needed, or is none that a header can carry.
    """
    at = address or provider.address
    if not _is_http_url(at):
        named = f" or {provider.address_env}" if provider.address_env else ""
        raise SettingsError(
            f"provider {provider.name!r}: its address is no http(s) URL; correct it in the deployment catalogue{named}"
        )
    key = _clean(provider, api_key)
    match provider.kind:
        case ProviderKind.OPENAI:
            from processors.providers.openai import OpenAI  # noqa: PLC0415 - see above

            return OpenAI(provider.name, address=at, api_key=key or "none", spoken_at=provider.address, connections=connections)
        case ProviderKind.ANTHROPIC:
            from processors.providers.anthropic import Anthropic  # noqa: PLC0415 - see above

            return Anthropic(provider.name, address=at, api_key=key or "none", connections=connections)
        case ProviderKind.GOOGLE:
            from processors.providers.google import Google  # noqa: PLC0415 - see above

            return Google(provider.name, address=at, api_key=key or "none", connections=connections)
        case ProviderKind.OLLAMA:
            from processors.providers.ollama import Ollama  # noqa: PLC0415 - see above

            return Ollama(provider.name, address=at, api_key=key, connections=connections)
    assert_never(provider.kind)


def _is_http_url(address: str) -> bool:
    """Whether there is somebody to call.

    >>> [_is_http_url(a) for a in ("https://api.x.com/v1", "http://[::1]:8000", "ftp://x", "https://", "http://x:port", "http://[x")]
    [True, True, False, False, False, False]
    """
    try:
        parts = urlsplit(address)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _clean(provider: Provider, api_key: str | None) -> str | None:
    """The key without the line end that files often add. The message names the variable, never the key."""
    key = (api_key or "").strip()
    if not key:
        if provider.key_env is not None:
            raise SettingsError(
                f"provider {provider.name!r} needs a key: set {provider.key_env}, or PENSTOCK_SIMULATOR_URL to call a simulator"
            )
        return None
    if not key.isascii() or not key.isprintable() or " " in key:
        raise SettingsError(
            f"the key of provider {provider.name!r} holds characters that no header can carry; set {provider.key_env} anew"
        )
    return key
