"""What every handler of the edge shares: who may come in, the id of a request, and the way into the log."""

import secrets
import time
from dataclasses import dataclass
from typing import Any

from schemas.keys import KeyRole
from streams.edge.asking import Asking
from streams.edge.mailbox import Mailbox
from streams.edge.principal import Authority, Principal, admitted
from streams.runtime import Runtime


@dataclass(frozen=True, slots=True)
class Door:
    """Made once a process."""

    runtime: Runtime
    authority: Authority
    mailbox: Mailbox
    asking: Asking

    def admit(self, http: Any, *roles: KeyRole) -> Principal:
        """Who asks, if it has one of the roles. Raises Refused, 401 or 403."""
        return admitted(self.authority, http.headers, *roles)

    def request_id(self, http: Any) -> str:
        """The id of this HTTP request and of what it publishes; the same for every call within one request."""
        if (known := getattr(http.state, "request_id", None)) is None:
            known = http.state.request_id = new_id("req")
        return str(known)


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
