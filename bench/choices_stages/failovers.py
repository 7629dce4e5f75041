"""Finds the failovers in what workers reported, what the dispatcher ordered, and what arrived at the providers."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

from schemas.calls import CallOrdered, CallPhase, CallReported
from streams.simulator.call_log import Call


@dataclass(frozen=True, slots=True)
class Failover:
    """Milliseconds, each between two readings of this machine's one clock.

    `to_next_ms`: from the report of the failure, as its worker dates it, to the arrival of the next call at its provider.
    `to_started_ms`: to that call's STARTED. `between_providers_ms`: from the arrival of the call that failed.
    `ordered_ms`, `started_ms`, `sent_ms` are what the first is made of: the dispatcher, the worker's waiting for its order, and
    its waiting for STARTED to be acknowledged.
    """

    to_next_ms: float
    to_started_ms: float
    between_providers_ms: float
    ordered_ms: float
    started_ms: float
    sent_ms: float


def failovers(
    reports: Iterable[CallReported], orders: Iterable[CallOrdered], calls: Iterable[Call], wanted: set[str]
) -> list[Failover]:
    """Of each of these requests: its first call's failure without a Retry-After, and the call of another provider after it."""
    ordered = {(order.request_id, order.attempt): order.ordered_at.timestamp() for order in orders}
    arrived = {call.call_id: call.t_in for call in calls}
    started: dict[tuple[str, int], CallReported] = {}
    failed: dict[tuple[str, int], CallReported] = {}
    for report in reports:
        by_phase = {CallPhase.STARTED: started, CallPhase.FAILED: failed}.get(report.phase)
        if by_phase is not None and report.request_id in wanted:
            by_phase.setdefault((report.request_id, report.attempt), report)
    found = []
    for (request_id, attempt), failure in failed.items():
        after = started.get((request_id, attempt + 1))
        if attempt != 1 or after is None or after.provider == failure.provider or _told_to_wait(failure):
            continue
        instants = (
            failure.reported_at.timestamp(),
            ordered[request_id, attempt + 1],
            after.reported_at.timestamp(),
            arrived[after.call_id],
        )
        ordered_ms, started_ms, sent_ms = ((later - at) * 1000 for at, later in pairwise(instants))
        found.append(
            Failover(
                to_next_ms=(instants[-1] - instants[0]) * 1000,
                to_started_ms=(instants[2] - instants[0]) * 1000,
                between_providers_ms=(instants[-1] - arrived[failure.call_id]) * 1000,
                ordered_ms=ordered_ms,
                started_ms=started_ms,
                sent_ms=sent_ms,
            )
        )
    return found


def _told_to_wait(report: CallReported) -> bool:
    return report.failure is None or report.failure.retry_after_s is not None
