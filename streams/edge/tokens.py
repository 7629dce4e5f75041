"""Keys of the edge: `pk-<id>-<secret>`. Only an HMAC of a key is ever kept."""

import hashlib
import hmac
import secrets

PREFIX = "pk"
_ID_BYTES = 6
_SECRET_BYTES = 24


def new_key() -> tuple[str, str]:
    """(its id, the key): random, and unlike any other."""
    key_id = secrets.token_hex(_ID_BYTES)
    return key_id, f"{PREFIX}-{key_id}-{secrets.token_urlsafe(_SECRET_BYTES)}"


def key_id_of(key: str) -> str | None:
    """The id in a key; None for what is no key of ours.

    >>> key_id_of("pk-0a1b2c3d4e5f-x"), key_id_of("sk-proj-1")
    ('0a1b2c3d4e5f', None)
    """
    prefix, _, rest = key.partition("-")
    key_id, _, secret = rest.partition("-")
    return key_id if prefix == PREFIX and secret and len(key_id) == 2 * _ID_BYTES else None


def mac_of(key: str, secret: bytes) -> str:
    """The HMAC-SHA-256 of a key, in hexadecimal."""
    return hmac.new(secret, key.encode(), hashlib.sha256).hexdigest()


def matches(key: str, mac: str, secret: bytes) -> bool:
    """Whether the key has this HMAC; in a time that tells nothing of it."""
    return hmac.compare_digest(mac_of(key, secret), mac)
