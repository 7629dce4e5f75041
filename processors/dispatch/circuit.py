"""Whether a deployment is down, as one lane partition's own calls have found it."""

from datetime import datetime, timedelta

from processors.dispatch.policy import DispatchPolicy
from schemas.calls import FailureKind
from schemas.state import CircuitState

DOWN = frozenset({FailureKind.OVERLOADED, FailureKind.SERVER_ERROR, FailureKind.UNREACHABLE, FailureKind.TIMED_OUT})
"""Failures that say: the deployment is down. A 429 says that it lives; what else fails is about the request or the key."""

_SILENT = frozenset({FailureKind.EXPIRED, FailureKind.CANCELLED, FailureKind.INTERRUPTED, FailureKind.LIMITED})
"""Failures that say nothing about the deployment."""


def after_success(circuit: CircuitState | None) -> CircuitState | None:
    """The circuit closed, or None when it was closed without a failure and nothing changes."""
    if circuit is None or (circuit.failures == 0 and circuit.open_until is None):
        return None
    return CircuitState(circuit.deployment, failures=0)


def after_failure(
    circuit: CircuitState | None, deployment: str, kind: FailureKind, *, now: datetime, policy: DispatchPolicy
) -> CircuitState | None:
    """The circuit one failure later, or None when nothing changes.

    While it is open, failures of calls that were under way change nothing: how often to probe is set when a probe leaves.
    """
    if kind in _SILENT:
        return None
    if kind not in DOWN:
        return after_success(circuit)
    if circuit is not None and circuit.open_until is not None:
        return None
    failures = 1 if circuit is None else circuit.failures + 1
    if failures < policy.circuit_failures:
        return CircuitState(deployment, failures)
    wait_s = policy.circuit_first_s
    return CircuitState(deployment, failures, open_until=now + timedelta(seconds=wait_s), interval_s=wait_s)


def shut(circuit: CircuitState | None, deployment: str, *, now: datetime, policy: DispatchPolicy) -> CircuitState | None:
    """The circuit opened because others have found the deployment down. None when it is open already."""
    if circuit is not None and circuit.open_until is not None:
        return None
    wait_s = policy.circuit_first_s
    return CircuitState(deployment, policy.circuit_failures, open_until=now + timedelta(seconds=wait_s), interval_s=wait_s)


def admits(circuit: CircuitState | None, *, now: datetime) -> bool:
    """Whether a call may go out now, as a probe if the circuit is open."""
    return circuit is None or circuit.open_until is None or now >= circuit.open_until


def after_probe(circuit: CircuitState | None, *, now: datetime, policy: DispatchPolicy) -> CircuitState | None:
    """The circuit once an admitted call has left: the next probe waits twice as long. None when it is closed."""
    if circuit is None or circuit.open_until is None:
        return None
    interval_s = min(circuit.interval_s * 2, policy.circuit_cap_s)
    return CircuitState(
        circuit.deployment, circuit.failures, open_until=now + timedelta(seconds=interval_s), interval_s=interval_s
    )
