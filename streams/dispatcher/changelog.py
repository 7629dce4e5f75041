"""Changes of the dispatcher's state to and from the records of ai.dispatch-changelog."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import assert_never

from processors.dispatch.state import (
    Change,
    DropCall,
    ForgetAdjusted,
    ForgetRequest,
    LaneState,
    PutAdjusted,
    PutCall,
    PutCircuit,
    PutPosition,
    PutRequest,
    PutTotal,
    request_key,
)
from schemas.errors import MalformedRecord
from schemas.routing import RequestRouted
from schemas.serde import Codec, Serde
from schemas.state import AdjustedState, CallState, DispatchChange, RequestPhase


class Changelog:
    """Encodes changes, the last of each key in a cycle alone; applies records to a state."""

    def __init__(self, serde: Serde) -> None:
        self._changes: Codec[DispatchChange] = serde.of(DispatchChange)
        self._routed: Codec[RequestRouted] = serde.of(RequestRouted)

    def encode(
        self, changes: Iterable[Change], values: Mapping[str, tuple[RequestRouted, bytes]]
    ) -> list[tuple[str, bytes | None]]:
        """Keys and values, a tombstone being None. `values` holds the routed records of this cycle with their bytes.

        A call that started and ended in the same transaction leaves no trace.
        """
        last: dict[str, Change] = {}
        begun: set[str] = set()
        for change in changes:
            key = _key(change)
            last[key] = change
            if isinstance(change, PutCall) and change.call.charged_at is None:
                begun.add(key)
            elif isinstance(change, DropCall) and key in begun:
                del last[key]
        return [(key, self._value(change, values)) for key, change in last.items()]

    def apply(self, state: LaneState, key: str, value: bytes | None) -> None:
        """Fold one record into a state that is being rebuilt. Raises RecordError when the changelog cannot be read."""
        if value is None:
            _forget(state, key)
            return
        change = self._changes.decode(value)
        if change.request is not None:
            open_ = change.request.phase is not RequestPhase.FINISHED
            if open_ and change.request.routed is None:
                raise MalformedRecord("invalid", f"changelog key {key} is an open request without its routed record")
            routed = self._routed.decode(change.request.routed) if open_ else None
            request = replace(change.request, routed=None)
            state.apply(PutRequest(request_key(request.tenant, request.request_id), request, routed))
        elif change.call is not None:
            state.apply(PutCall(change.call))
        elif change.total is not None:
            state.apply(PutTotal(key.removeprefix("total/"), change.total))
        elif change.circuit is not None:
            state.apply(PutCircuit(change.circuit))
        elif change.position is not None:
            state.apply(PutPosition(key.removeprefix("position/"), change.position))
        elif change.adjusted is not None:
            state.apply(PutAdjusted(change.adjusted))

    def _value(self, change: Change, values: Mapping[str, tuple[RequestRouted, bytes]]) -> bytes | None:
        match change:
            case PutRequest(key, request, routed):
                if routed is not None:
                    record, value = values.get(key, (None, b""))
                    # The same id may have come with another body in this cycle: its bytes are not those of this request.
                    request = replace(request, routed=value if record is routed else self._routed.encode(routed))
                said = DispatchChange(request=request)
            case PutCall(call):
                said = DispatchChange(call=call)
            case PutTotal(_, total):
                said = DispatchChange(total=total)
            case PutCircuit(circuit):
                said = DispatchChange(circuit=circuit)
            case PutPosition(_, next_offset):
                said = DispatchChange(position=next_offset)
            case PutAdjusted(adjusted):
                said = DispatchChange(adjusted=adjusted)
            case ForgetRequest() | DropCall() | ForgetAdjusted():
                return None
            case _:
                assert_never(change)
        return self._changes.encode(said)


def _key(change: Change) -> str:
    match change:
        case PutRequest(key) | ForgetRequest(key):
            return f"request/{key}"
        case PutCall(call) | DropCall(call):
            return f"call/{call.call_id}"
        case PutTotal(key):
            return f"total/{key}"
        case PutCircuit(circuit):
            return f"circuit/{circuit.deployment}"
        case PutPosition(topic):
            return f"position/{topic}"
        case PutAdjusted(AdjustedState(call_id)) | ForgetAdjusted(call_id):
            return f"adjusted/{call_id}"
        case _:
            assert_never(change)


def _forget(state: LaneState, key: str) -> None:
    kind, _, rest = key.partition("/")
    forget: dict[str, Callable[[], object]] = {
        "request": lambda: state.apply(ForgetRequest(rest)),
        "call": lambda: _drop_call(state, state.calls.get(rest) or state.charged.get(rest)),
        "total": lambda: state.totals.pop(rest, None),
        "circuit": lambda: state.circuits.pop(rest, None),
        "position": lambda: state.positions.pop(rest, None),
        "adjusted": lambda: state.apply(ForgetAdjusted(rest)),
    }
    if (action := forget.get(kind)) is not None:
        action()


def _drop_call(state: LaneState, call: CallState | None) -> None:
    if call is not None:
        state.apply(DropCall(call))
