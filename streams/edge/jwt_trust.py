"""Whose tokens are taken beside our own keys, as the settings say."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from schemas.errors import SettingsError
from streams.edge.principal import Authority
from streams.settings import Settings

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class Trust:
    """Where the issuer's keys are, for whom its tokens must be, and where they say tenant and roles."""

    jwks_url: str
    issuer: str
    audience: str
    tenant_claim: str
    roles_claim: str


@contextlib.asynccontextmanager
async def with_tokens(settings: Settings, keys: Authority) -> AsyncIterator[Authority]:
    """The keys' authority, and the tokens' beside it when a JWKS is set. Raises SettingsError for settings that do not fit."""
    if (trust := trust_of(settings)) is None:
        yield keys
        return
    # Cryptography is loaded where it is used.
    from streams.edge.jwt import KeysAndTokens  # noqa: PLC0415
    from streams.edge.jwt_keys import IssuerKeys  # noqa: PLC0415

    async with IssuerKeys(trust.jwks_url).following() as issuer_keys:
        yield KeysAndTokens(keys, issuer_keys, trust)


def trust_of(settings: Settings) -> Trust | None:
    """What is set; None without a JWKS. Raises SettingsError for half of it, and for an address that anybody could answer for."""
    if settings.jwt_jwks_url is None:
        return None
    if settings.jwt_issuer is None or settings.jwt_audience is None:
        raise SettingsError(
            "PENSTOCK_JWT_JWKS_URL needs PENSTOCK_JWT_ISSUER and PENSTOCK_JWT_AUDIENCE: tokens made for others would do else"
        )
    address = urlsplit(settings.jwt_jwks_url)
    if address.scheme != "https" and not (address.scheme == "http" and address.hostname in _LOOPBACK):
        raise SettingsError("PENSTOCK_JWT_JWKS_URL must begin with https://: whoever answers for it decides who comes in")
    claims = settings.jwt_tenant_claim, settings.jwt_roles_claim
    return Trust(settings.jwt_jwks_url, settings.jwt_issuer, settings.jwt_audience, *claims)
