"""Who asks: a tenant and what it may do, from the key of a request and never from its body."""

from dataclasses import dataclass
from typing import Any, Protocol

from processors.api.refusals import Refusal
from schemas.keys import KeyRole


@dataclass(frozen=True, slots=True)
class Principal:
    """The holder of a key."""

    tenant: str
    roles: frozenset[KeyRole]
    key_id: str

    def may(self, role: KeyRole) -> bool:
        return role in self.roles


class Refused(Exception):
    """The request ends here; the edge answers with `refusal`, in the shape that the path speaks."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


class Authority(Protocol):
    """Knows the holders of keys."""

    def principal(self, credential: str) -> Principal | None:
        """The holder; None when the credential is unknown, revoked or out of date."""


class Anyone:
    """The authority of `--insecure-local`: whoever can reach the loopback interface is the tenant `default`."""

    def principal(self, credential: str) -> Principal | None:  # noqa: ARG002 - any will do
        return Principal("default", frozenset({KeyRole.PUBLISH, KeyRole.READ, KeyRole.ADMIN}), "insecure-local")


def credential_of(headers: Any) -> str:
    """The key of a request: `Authorization: Bearer`, or `x-api-key` as Anthropic's clients send it; empty without one."""
    scheme, _, value = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return str(value.strip())
    return str(headers.get("x-api-key", "").strip())


def admitted(authority: Authority, headers: Any, *roles: KeyRole) -> Principal:
    """Who asks, if it has one of the roles. Raises Refused, 401 or 403."""
    found = authority.principal(credential_of(headers))
    if found is None:
        message = "no valid key: send `Authorization: Bearer <key>`; `penstock keys create --tenant NAME` makes one"
        raise Refused(Refusal(401, "invalid_api_key", message))
    if not any(found.may(role) for role in roles):
        message = f"this key has no role `{roles[0].value}`; `penstock keys create --role {roles[0].value}` makes one that has"
        raise Refused(Refusal(403, "permission_denied", message))
    return found
