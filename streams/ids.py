"""Ids that begin with their time."""

import secrets
import time


def new_id(prefix: str) -> str:
    """An id nobody can guess that begins with its time: the log can be searched by it.

    >>> len(new_id("req"))
    36
    """
    return f"{prefix}-{time.time_ns() // 1_000_000:012x}{secrets.token_hex(10)}"


def made_at_s(request_id: str) -> float | None:
    """When an id was made, in seconds since 1970; None for an id of another make.

    >>> made_at_s("req-018bcfe56800" + "0" * 20)
    1700000000.0
    """
    _, _, rest = request_id.partition("-")
    try:
        return int(rest[:12], 16) / 1000 if len(rest) == 32 else None
    except ValueError:
        return None
