"""The state of one lane partition, and the changes that are all that ever alters it."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol, assert_never

from schemas.ledger import CostTotal
from schemas.routing import RequestRouted
from schemas.state import AdjustedState, CallState, CircuitState, RequestPhase, RequestState


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


@dataclass(frozen=True, slots=True)
class PutAdjusted:
    adjusted: AdjustedState


@dataclass(frozen=True, slots=True)
class ForgetAdjusted:
    call_id: str


Change = PutRequest | ForgetRequest | PutCall | DropCall | PutTotal | PutCircuit | PutPosition | PutAdjusted | ForgetAdjusted


class FinishedRequests(Protocol):
    """Finished requests by key, the oldest first: a dictionary, or what a shell keeps them in when there are too many."""

    def get(self, key: str, /) -> Finished | None: ...
    def __contains__(self, key: object, /) -> bool: ...
    def __setitem__(self, key: str, finished: Finished, /) -> None: ...
    def pop(self, key: str, default: None, /) -> Finished | None: ...
    def items(self) -> Iterable[tuple[str, Finished]]: ...


class Totals(Protocol):
    """Absolute totals by key: a dictionary, or what a shell keeps those of past hours in."""

    def get(self, key: str, /) -> CostTotal | None: ...
    def __setitem__(self, key: str, total: CostTotal, /) -> None: ...
    def pop(self, key: str, default: None, /) -> CostTotal | None: ...
    def values(self) -> Iterable[CostTotal]: ...


@dataclass(slots=True)
class Flight:
    """Open requests that ask the same: the one that makes the calls, and those that wait for its answer, the first first.

    While a changelog is read again there may be two `callers` for a moment: the records of one transaction are in no order.
    """

    callers: dict[str, None] = field(default_factory=dict)
    followers: dict[str, None] = field(default_factory=dict)

    @property
    def leader(self) -> str | None:
        return next(iter(self.callers), None)


class LaneState:
    """Everything that the dispatcher knows of one lane partition. Read freely; altered by `apply` alone."""

    __slots__ = (
        "adjusted",
        "calls",
        "calls_of",
        "charged",
        "circuits",
        "finished",
        "flights",
        "open",
        "parked",
        "positions",
        "totals",
    )

    def __init__(self, finished: FinishedRequests | None = None, totals: Totals | None = None) -> None:
        self.open: dict[str, Open] = {}
        self.finished: FinishedRequests = dict[str, Finished]() if finished is None else finished
        self.calls: dict[str, CallState] = {}
        self.calls_of: dict[str, set[str]] = {}
        """Open calls by request key."""
        self.totals: Totals = dict[str, CostTotal]() if totals is None else totals
        self.charged: dict[str, CallState] = {}
        """Calls charged as lost, the oldest first: their STARTED may come again, when its acknowledgement was lost."""
        self.circuits: dict[str, CircuitState] = {}
        self.positions: dict[str, int] = {}
        """The next offset to read, by input topic."""
        self.adjusted: dict[str, AdjustedState] = {}
        """Calls whose charge was adjusted, by id; the longest ago first."""
        self.parked: dict[str, None] = {}
        """Keys of parked requests, the longest parked first."""
        self.flights: dict[str, Flight] = {}
        """Flights of open requests, by tenant and flight key."""

    def apply(self, change: Change) -> None:
        """Make one change. Changes of one decision are made in their order."""
        match change:
            case PutRequest(key, state, routed):
                self._put_request(key, state, routed)
            case PutCall(call):
                self._put_call(call)
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
                self._close(key)
            case PutAdjusted(adjusted):
                self.adjusted.pop(adjusted.call_id, None)
                self.adjusted[adjusted.call_id] = adjusted
            case ForgetAdjusted(call_id):
                self.adjusted.pop(call_id, None)
            case _:
                assert_never(change)

    def flight(self, routed: RequestRouted) -> Flight | None:
        """The flight that the request belongs to, or would. Tenants share nothing, whatever their keys."""
        return None if routed.flight_key is None else self.flights.get(request_key(routed.tenant, routed.flight_key))

    def _put_request(self, key: str, state: RequestState, routed: RequestRouted | None) -> None:
        if routed is None:
            self._close(key)
            if state.finished_at is None:
                raise ValueError(f"request {key} is finished without a time")
            self.finished[key] = Finished(state.body_digest, state.finished_at, state.status)
            return
        self.open[key] = Open(state, routed)
        if state.phase is RequestPhase.PARKED:
            self.parked.setdefault(key)
        else:
            self.parked.pop(key, None)
        if routed.flight_key is not None:
            flight = self.flights.setdefault(request_key(routed.tenant, routed.flight_key), Flight())
            follows = state.phase is RequestPhase.FOLLOWING
            (flight.callers if follows else flight.followers).pop(key, None)
            (flight.followers if follows else flight.callers).setdefault(key)

    def _close(self, key: str) -> None:
        self.parked.pop(key, None)
        closed = self.open.pop(key, None)
        if closed is None or closed.routed.flight_key is None or (flight := self.flight(closed.routed)) is None:
            return
        flight.callers.pop(key, None)
        flight.followers.pop(key, None)
        if not (flight.callers or flight.followers):
            del self.flights[request_key(closed.routed.tenant, closed.routed.flight_key)]

    def _put_call(self, call: CallState) -> None:
        if call.charged_at is not None:
            self._drop_call(call)
            self.charged[call.call_id] = call
            return
        self.calls[call.call_id] = call
        self.calls_of.setdefault(request_key(call.tenant, call.request_id), set()).add(call.call_id)

    def _drop_call(self, call: CallState) -> None:
        self.calls.pop(call.call_id, None)
        self.charged.pop(call.call_id, None)
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
