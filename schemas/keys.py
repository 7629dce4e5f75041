"""Who may use the HTTP edge: KeyIssued."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class KeyRole(StrEnum):
    """What a key allows, for its own tenant alone; `admin` also shows and changes what all tenants share."""

    UNKNOWN = "unknown"
    PUBLISH = "publish"
    READ = "read"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class KeyIssued:
    """One key of a tenant. The key itself is nowhere: `mac` is its HMAC-SHA-256, in hexadecimal.

    The latest record of a `key_id` holds; one with `revoked_at` ends the key.
    """

    key_id: str
    tenant: str
    roles: tuple[KeyRole, ...]
    mac: str
    note: str
    created_at: datetime
    revoked_at: datetime | None = None
