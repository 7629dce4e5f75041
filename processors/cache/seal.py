"""Kept answers are sealed: what somebody else wrote into the store, or moved to another key, is no answer of ours."""

import hashlib
import hmac

_MAGIC = b"\x01"
_MAC_BYTES = hashlib.sha256().digest_size
OVERHEAD_BYTES = len(_MAGIC) + _MAC_BYTES


def seal(secret: bytes, cache_key: str, value: bytes) -> bytes:
    """The value with its HMAC-SHA256 over key and value before it."""
    return _MAGIC + _mac(secret, cache_key, value) + value


def unseal(secret: bytes, cache_key: str, sealed: bytes) -> bytes | None:
    """The value; None when this secret has not sealed it under this key.

    >>> unseal(b"s", "a:b:c", seal(b"s", "a:b:c", b"answer"))
    b'answer'
    >>> unseal(b"s", "a:b:d", seal(b"s", "a:b:c", b"answer")) is None
    True
    """
    magic, mac, value = sealed[:1], sealed[1:OVERHEAD_BYTES], sealed[OVERHEAD_BYTES:]
    if magic != _MAGIC or not hmac.compare_digest(mac, _mac(secret, cache_key, value)):
        return None
    return value


def _mac(secret: bytes, cache_key: str, value: bytes) -> bytes:
    mac = hmac.new(secret, cache_key.encode(), hashlib.sha256)
    mac.update(b"\0")
    mac.update(value)
    return mac.digest()
