"""From the tally to the verdict: the counts, and which invariants they speak of."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from streams.verify.sources import Sources
from streams.verify.tally import Tally, Terms
from streams.verify.verdict import Verdict

_CHECKED = ("I1", "I2", "I3", "I4", "I5", "I6", "I7", "I10")
_NOT_IN_A_LOG = {
    "I8": "memory, open files and work in hand of the processes cannot be seen in a log",
    "I9": "a log does not say when a fault ended; `last_final_at` is the other half",
}


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read, and how."""

    sources: Sources
    terms: Terms
    records: int
    skipped: int
    new_records: int
    took_s: float
    resumed: bool
    checkpointed: bool
    not_checked: Mapping[str, str]
    bounded: bool


def verdict_of(tally: Tally, reading: Reading, *, most_problems: int) -> Verdict:
    """The verdict, with `most_problems` problems at most."""
    counts = tally.counts() | {
        "missing": tally.missing,
        "duplicate_finals": tally.duplicate_finals,
        "in_flight": tally.in_flight,
        "problem_count": tally.problem_count,
    }
    provider = {name: counts.pop(name) for name in ("provider_calls", "provider_input_tokens", "provider_output_tokens")}
    last_us = tally.last_final_us
    return Verdict(
        ok=tally.problem_count == 0,
        totals_match=tally.wrong_totals == 0,
        provider_calls=provider["provider_calls"] if reading.terms.with_calls else None,
        provider_input_tokens=provider["provider_input_tokens"] if reading.terms.with_calls else None,
        provider_output_tokens=provider["provider_output_tokens"] if reading.terms.with_calls else None,
        records=reading.records,
        skipped=reading.skipped,
        new_records=reading.new_records,
        took_s=round(reading.took_s, 3),
        open_estimates=tally.estimated - tally.adjusted_estimates,
        last_final_at=datetime.fromtimestamp(last_us / 1e6, UTC).isoformat(timespec="microseconds") if last_us else None,
        checked=_CHECKED,
        not_checked=_not_checked(reading),
        resumed=reading.resumed,
        checkpointed=reading.checkpointed,
        problems=tally.first(most_problems),
        **counts,
    )


def _not_checked(reading: Reading) -> dict[str, str]:
    """What of the invariants could not be checked, and why."""
    found = dict(reading.not_checked)
    if reading.sources.call_log is None:
        why = "the provider's own log was not given (--call-log)"
        found |= {"I3 tokens": why, "I5 at the provider": why}
    if reading.sources.injected is None:
        found["I7 injected"] = "nobody said which bad records were put in on purpose (--injected)"
    if not reading.bounded:
        found["I10 bound"] = "nobody said how many crashes there were (--crashes, --in-flight); duplicate_calls is the count"
    return dict(sorted((found | _NOT_IN_A_LOG).items()))
