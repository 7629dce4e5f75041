"""What the check found: counts, and what is wrong, each with its place and a next step."""

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from streams.verify.derive import printable


class ProblemKind(StrEnum):
    """What each means, and what to do: docs/verify.md."""

    HUNG_TRANSACTION = "hung_transaction"
    MISSING_FINAL = "missing_final"
    DUPLICATE_FINAL = "duplicate_final"
    UNKNOWN_FINAL = "unknown_final"
    NOT_IN_LOG = "not_in_log"
    UNCHARGED_CALL = "uncharged_call"
    DOUBLE_CHARGE = "double_charge"
    CHARGE_WITHOUT_START = "charge_without_start"
    CHARGE_DIFFERS = "charge_differs"
    BAD_ADJUSTMENT = "bad_adjustment"
    ADJUSTMENT_WITHOUT_CALL = "adjustment_without_call"
    ANSWER_WITHOUT_CALL = "answer_without_call"
    CACHE_HIT_DIFFERS = "cache_hit_differs"
    TOO_MANY_ATTEMPTS = "too_many_attempts"
    TOO_MANY_DUPLICATE_CALLS = "too_many_duplicate_calls"
    WRONG_TOTAL = "wrong_total"
    MISSING_DEAD_LETTER = "missing_dead_letter"
    UNKNOWN_DEAD_LETTER = "unknown_dead_letter"
    UNEXPECTED_DEAD_LETTER = "unexpected_dead_letter"
    OTHER_REASON = "other_reason"
    UNREADABLE = "unreadable"
    OFFSET_WENT_BACK = "offset_went_back"
    OFFSET_BEYOND_END = "offset_beyond_end"
    PASSED_UNFINISHED = "passed_unfinished"
    ARRIVED_WITHOUT_START = "arrived_without_start"
    ARRIVED_TWICE = "arrived_twice"
    NEVER_ARRIVED = "never_arrived"
    TOKENS_DIFFER = "tokens_differ"
    ESTIMATE_TOO_LOW = "estimate_too_low"
    IN_FLIGHT = "in_flight"
    """Not wrong yet: it may still be on its way. The verdict is not clean until it has come."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong. `key` names the request (tenant/request_id), the call, the total or the position."""

    kind: ProblemKind
    key: str
    message: str
    topic: str | None = None
    partition: int | None = None
    offset: int | None = None

    def __str__(self) -> str:
        place = "" if self.topic is None else f" at {self.topic}-{self.partition}@{self.offset}"
        if self.topic is not None and self.partition is None:
            place = f" in {self.topic}"
        return printable(f"{self.kind.value}: {self.key}{place}: {self.message}")


@dataclass(frozen=True, slots=True)
class Verdict:
    """One check of the log.

    `acknowledged`: different requests on ai.requests that name themselves; `final` and `missing` are those of them with and
    without a final response. `cost_events` are those of calls, `cache_hits` those of the cache, `adjustments` those posted
    later. `dead_letters` counts positions. `duplicate_calls`: started calls beyond one an order. `provider_*` come from the
    provider's own log, None without one; its tokens and `ledger_*` are sums over calls that both sides counted. `skipped`:
    records from before the log's retention began, which cannot be judged. `problems` are the first of `problem_count`.
    `adjusted_estimates` are the estimates that an adjustment has replaced, `open_estimates` those that still count.
    `last_final_at`: the latest time that a final response says. `checked` names the invariants; `not_checked` says of the
    others why. `resumed`: only what came after the checkpoint was read (`new_records`); the counts include what came before.
    `checkpointed`: this verdict is the next checkpoint.
    """

    ok: bool
    acknowledged: int
    final: int
    missing: int
    duplicate_finals: int
    calls_started: int
    cost_events: int
    totals_match: bool
    estimated: int
    wasted: int
    dead_letters: int
    in_flight: int
    repeats: int
    duplicate_calls: int
    cache_hits: int
    adjustments: int
    unpriced: int
    totals: int
    cost_nanousd: int
    provider_calls: int | None
    provider_input_tokens: int | None
    provider_output_tokens: int | None
    ledger_input_tokens: int
    ledger_output_tokens: int
    records: int
    skipped: int
    took_s: float
    adjusted_estimates: int
    open_estimates: int
    last_final_at: str | None
    checked: tuple[str, ...]
    not_checked: dict[str, str]
    resumed: bool
    checkpointed: bool
    new_records: int
    problem_count: int
    problems: tuple[Problem, ...]

    def line(self) -> str:
        """The verdict in one line."""
        totals = f"{self.totals} totals match ({dollars(self.cost_nanousd)})" if self.totals_match else "TOTALS DIFFER"
        state = "clean" if self.ok else f"NOT CLEAN, {_many(self.problem_count, 'problem')}"
        parts = [
            f"{self.acknowledged} acknowledged, {self.final} final, {self.missing} missing, {self.duplicate_finals} duplicate",
            f"{_many(self.calls_started, 'call')} started",
            f"{_many(self.cost_events, 'cost event')} ({self.estimated} estimated, {self.wasted} wasted)",
            _many(self.cache_hits, "cache hit"),
            totals,
            _many(self.dead_letters, "dead letter"),
        ]
        if self.provider_calls is not None:
            parts.append(f"{self.provider_calls} calls in the provider's log")
        if self.adjustments:
            parts.append(f"{_many(self.adjustments, 'adjustment')}, {_many(self.open_estimates, 'estimate')} left")
        if self.in_flight:
            parts.append(f"{self.in_flight} in flight")
        if self.skipped:
            parts.append(f"{self.skipped} records older than the log skipped")
        return f"{state}: {'; '.join(parts)}"

    def to_json(self) -> dict[str, Any]:
        """Everything, as one JSON object's worth of plain values."""
        return asdict(self)


def dollars(nanousd: int) -> str:
    """Exact: nine decimals.

    >>> dollars(-1_500_000_000), dollars(54_399_000)
    ('-$1.500000000', '$0.054399000')
    """
    whole, part = divmod(abs(nanousd), 10**9)
    return f"{'-' if nanousd < 0 else ''}${whole}.{part:09d}"


def _many(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
