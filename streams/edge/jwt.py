"""JSON Web Tokens beside our own keys: an issuer's word for tenant and roles (RFC 7519, RFC 8725)."""

from typing import Any

import jwt

from processors.api.refusals import Refusal
from processors.classify.validate import MAX_ID_CHARS
from schemas.keys import KeyRole
from streams.edge.jwt_keys import ALGORITHMS, IssuerKeys
from streams.edge.jwt_trust import Trust
from streams.edge.principal import Authority, Principal, Refused

JWT_BEGINS = "eyJ"
"""How every JWT begins, and no key of ours: the base64 of `{"`."""
_LEEWAY_S = 30.0
_MAX_CHARS = 8_192
_ROLES = {role.value: role for role in KeyRole if role is not KeyRole.UNKNOWN}


class KeysAndTokens:
    """An Authority of both: tokens by how they begin, everything else as a key."""

    def __init__(self, keys: Authority, issuer_keys: IssuerKeys, trust: Trust) -> None:
        self._keys = keys
        self._issuer_keys = issuer_keys
        self._trust = trust

    @property
    def caught_up(self) -> bool:
        """Whether the keys of ours are known. An issuer that is away keeps no key from being taken."""
        return bool(getattr(self._keys, "caught_up", True))

    def principal(self, credential: str) -> Principal | None:
        """The holder. Raises Refused: 401 for a token that does not hold, with the reason; 503 while nobody can tell."""
        if not credential.startswith(JWT_BEGINS):
            return self._keys.principal(credential)
        return holder(self._verified(credential), self._trust)

    def _verified(self, token: str) -> dict[str, Any]:
        if len(token) > _MAX_CHARS:
            raise _invalid("the token is too long")
        try:
            header = jwt.get_unverified_header(token)
            if header.get("alg") not in ALGORITHMS:
                raise _invalid(f"the token must be signed with {', '.join(ALGORITHMS)}")
            key = self._issuer_keys.key(header.get("kid"))
            if key is None or key.algorithm_name != header["alg"]:
                raise _invalid("the token is signed with a key that its issuer does not have")
            claims: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=[key.algorithm_name],
                audience=self._trust.audience,
                issuer=self._trust.issuer,
                leeway=_LEEWAY_S,
                options={"require": ["exp", "aud", "iss"]},
            )
        except (jwt.exceptions.PyJWTError, ValueError, OverflowError, RecursionError) as error:
            raise _invalid(_WRONG.get(type(error), "the token cannot be read, or its signature is wrong")) from error
        return claims


def holder(claims: dict[str, Any], trust: Trust) -> Principal:
    """Who a token's claims say it is. Raises Refused, 401, when they name no tenant."""
    tenant = claims.get(trust.tenant_claim)
    if not (isinstance(tenant, str) and 0 < len(tenant) <= MAX_ID_CHARS and tenant.isprintable() and not tenant.isspace()):
        raise _invalid(f"the token names no tenant in the claim `{trust.tenant_claim}`")
    given = claims.get(trust.roles_claim, ())
    words = given.split() if isinstance(given, str) else given if isinstance(given, list) else ()
    roles = frozenset(_ROLES[word] for word in words if isinstance(word, str) and word in _ROLES)
    return Principal(tenant, roles, f"jwt:{str(claims.get('sub', ''))[:64]}")


_WRONG: dict[type[Exception], str] = {
    jwt.exceptions.ExpiredSignatureError: "the token has expired",
    jwt.exceptions.ImmatureSignatureError: "the token does not hold yet",
    jwt.exceptions.InvalidAudienceError: "the token is for another audience",
    jwt.exceptions.InvalidIssuerError: "the token is of another issuer",
    jwt.exceptions.MissingRequiredClaimError: "the token needs the claims `exp`, `aud` and `iss`",
}


def _invalid(message: str) -> Refused:
    return Refused(Refusal(401, "invalid_token", message))
