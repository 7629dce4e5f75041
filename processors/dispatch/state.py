"""The state of one lane partition, and the changes that are all that ever alters it."""

from dataclasses import dataclass
from datetime import datetime
from typing import assert_never

from schemas.ledger import CostTotal
from schemas.routing import RequestRouted
from schemas.state import CallState, CircuitState, RequestPhase, RequestState


@dataclass(frozen=True, slots=True)
class Open:
    """An open request: its state, and the routed record it came with."""

    state: RequestState
    routed: RequestRouted


@dataclass(frozen=True, slots=True)
class Finished:
    """What is remembered of a finished request."""

    body_digest: bytes
    finished_at: datetime
    status: str


@dataclass(frozen=True, slots=True)
class PutRequest:
    """`routed` is None for a finished request."""

    key: str
    state: RequestState
    routed: RequestRouted | None


@dataclass(frozen=True, slots=True)
class ForgetRequest:
    key: str


@dataclass(frozen=True, slots=True)
class PutCall:
    call: CallState


@dataclass(frozen=True, slots=True)
class DropCall:
    call: CallState


@dataclass(frozen=True, slots=True)
class PutTotal:
    key: str
    total: CostTotal


@dataclass(frozen=True, slots=True)
class PutCircuit:
    circuit: CircuitState


@dataclass(frozen=True, slots=True)
class PutPosition:
    """How far an input has been folded: the next offset to read of `topic`, in this lane partition."""

    topic: str
    next_offset: int


Change = PutRequest | ForgetRequest | PutCall | DropCall | PutTotal | PutCircuit | PutPosition


class LaneState:
    """Everything that the dispatcher knows of one lane partition. Read freely; altered by `apply` alone."""

    __slots__ = ("calls", "calls_of", "circuits", "finished", "open", "parked", "positions", "totals")

    def __init__(self) -> None:
        self.open: dict[str, Open] = {}
        self.finished: dict[str, Finished] = {}
        """In the order of finishing: the oldest first."""
        self.calls: dict[str, CallState] = {}
        self.calls_of: dict[str, set[str]] = {}
        """Open calls by request key."""
        self.totals: dict[str, CostTotal] = {}
        self.circuits: dict[str, CircuitState] = {}
        self.positions: dict[str, int] = {}
        """The next offset to read, by input topic."""
        self.parked: dict[str, None] = {}
        """Keys of parked requests, the longest parked first."""

    def apply(self, change: Change) -> None:
        """Make one change. Changes of one decision are made in their order."""
        match change:
            case PutRequest(key, state, routed):
                self._put_request(key, state, routed)
            case PutCall(call):
                self.calls[call.call_id] = call
                self.calls_of.setdefault(request_key(call.tenant, call.request_id), set()).add(call.call_id)
            case DropCall(call):
                self._drop_call(call)
            case PutTotal(key, total):
                self.totals[key] = total
            case PutCircuit(circuit):
                self.circuits[circuit.deployment] = circuit
            case PutPosition(topic, next_offset):
                self.positions[topic] = next_offset
            case ForgetRequest(key):
                self.finished.pop(key, None)
            case _:
                assert_never(change)

    def _put_request(self, key: str, state: RequestState, routed: RequestRouted | None) -> None:
        if routed is None:
            self.open.pop(key, None)
            self.parked.pop(key, None)
            if state.finished_at is None:
                raise ValueError(f"request {key} is finished without a time")
            self.finished[key] = Finished(state.body_digest, state.finished_at, state.status)
            return
        self.open[key] = Open(state, routed)
        if state.phase is RequestPhase.PARKED:
            self.parked.setdefault(key)
        else:
            self.parked.pop(key, None)

    def _drop_call(self, call: CallState) -> None:
        self.calls.pop(call.call_id, None)
        key = request_key(call.tenant, call.request_id)
        siblings = self.calls_of.get(key)
        if siblings is not None:
            siblings.discard(call.call_id)
            if not siblings:
                del self.calls_of[key]


def request_key(tenant: str, request_id: str) -> str:
    """The key of a request: the tenant with `%` and `/` percent-encoded, a slash, the id.

    >>> request_key("a/b", "r1")
    'a%2Fb/r1'
    """
    if "%" in tenant or "/" in tenant:
        tenant = tenant.replace("%", "%25").replace("/", "%2F")
    return f"{tenant}/{request_id}"
