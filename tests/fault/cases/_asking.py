"""Requests of one kind, and what became of them."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from schemas.outcomes import InferenceResponse, ResponseStatus
from schemas.requests import CacheMode, CachePolicy, InferenceRequest, Message, Preferences
from tests.fault.load import TENANTS, Load
from tests.fault.rig import Rig

STEADY: Mapping[str, Any] = {"first_token_ms": 120.0, "per_token_ms": 0.0}
"""A provider that always takes as long, so that what differs is ours."""
LATE_S = 1.5
"""How long after a deadline its final may be written: timers wait for the log, and the machine is shared."""

CLOSED_ANSWERED, CLOSED_WITHIN_S = 10, 45.0


@dataclass(frozen=True, slots=True)
class Asking:
    """Makes requests for a load. `fault`: what the simulator does to every call of them; `about` is part of the prompt."""

    provider: str | None = None
    providers: tuple[str, ...] = ()
    fault: str | None = None
    out: int = 24
    stream: bool = False
    cached: bool = False
    deadline_s: float | None = None
    about: str | None = None

    def __call__(self, name: str, number: int) -> InferenceRequest:
        fault = f" fault={self.fault}" if self.fault else ""
        return InferenceRequest(
            request_id=f"{name}-{number}",
            tenant=f"tenant-{number % TENANTS}",
            model="auto",
            messages=(Message("user", f"[[sim out={self.out}{fault}]] Question {number} about {self.about or name}"),),
            preferences=Preferences(provider=self.provider, providers=self.providers),
            cache=CachePolicy(CacheMode.DEFAULT if self.cached else CacheMode.OFF),
            stream=self.stream,
            deadline=None if self.deadline_s is None else datetime.now(UTC) + timedelta(seconds=self.deadline_s),
        )


async def all_closed(rig: Rig, pinned: Load) -> None:
    """Return when requests pinned to a provider are answered: its circuits are not open any longer from an earlier repeat.

    Raises TimeoutError.
    """

    def answered() -> bool:
        return sum(a.status is ResponseStatus.OK for a in answers(rig, pinned)) >= CLOSED_ANSWERED

    if not await rig.seen.until(answered, CLOSED_WITHIN_S):
        raise TimeoutError(f"the circuits of an earlier repeat are still open after {CLOSED_WITHIN_S:g} s")


def answers(rig: Rig, load: Load) -> list[InferenceResponse]:
    """The finals of a load, as far as they have come."""
    return [rig.first_final(r).response for r in load.sent_at if r in rig.seen.finals]


def latencies_s(rig: Rig, load: Load, spans: Iterable[tuple[float, float]] = ((0.0, 2e9),)) -> list[float]:
    """Seconds from sending to the final of the requests that were sent within the spans of Unix time."""
    spans = list(spans)
    return [
        rig.first_final(r).response.answered_at.timestamp() - at
        for r, at in load.sent_at.items()
        if r in rig.seen.finals and any(begin <= at < end for begin, end in spans)
    ]


def p99(values: Sequence[float]) -> float:
    return sorted(values)[int(len(values) * 0.99)]


def median(values: Sequence[float]) -> float:
    return statistics.median(values)


def not_answered(rig: Rig, load: Load, what: str) -> list[str]:
    """A problem when a final of the load is no answer: all of them had time left."""
    others = [a for a in answers(rig, load) if a.status is not ResponseStatus.OK]
    return (
        [f"{len(others)} of {len(load.sent_at)} {what} ended otherwise: {others[0].status} {others[0].error}"] if others else []
    )


def not_in_time(
    rig: Rig, load: Load, deadline_s: float, what: str, *, all_expire: bool = False, late_s: float = LATE_S
) -> list[str]:
    """Finals that are no answer must come at the deadline, neither before nor long after it."""
    problems = []
    for answer in answers(rig, load):
        if answer.status is ResponseStatus.OK and not all_expire:
            continue
        took_s = answer.answered_at.timestamp() - load.sent_at[answer.request_id]
        if answer.status is not ResponseStatus.EXPIRED or not deadline_s - 0.1 <= took_s <= deadline_s + late_s:
            problems.append(f"{what}: {answer.status} after {took_s:.2f} s, its deadline is {deadline_s:g} s: {answer.error}")
    return problems[:3]
