"""What every handler of the edge shares: who may come in, the id of a request, and the way into the log."""

from dataclasses import dataclass
from typing import Any

from schemas.keys import KeyRole
from streams.edge.asking import Asking
from streams.edge.cancelling import Cancelling
from streams.edge.mailbox import Mailbox
from streams.edge.principal import Authority, Principal, admitted
from streams.ids import new_id
from streams.runtime import Runtime


@dataclass(frozen=True, slots=True)
class Door:
    """Made once a process."""

    runtime: Runtime
    authority: Authority
    mailbox: Mailbox
    asking: Asking
    cancelling: Cancelling

    def admit(self, http: Any, *roles: KeyRole) -> Principal:
        """Who asks, if it has one of the roles. Raises Refused, 401 or 403."""
        return admitted(self.authority, http.headers, *roles)

    def request_id(self, http: Any) -> str:
        """The id of this HTTP request and of what it publishes; the same for every call within one request."""
        if (known := getattr(http.state, "request_id", None)) is None:
            known = http.state.request_id = new_id("req")
        return str(known)
