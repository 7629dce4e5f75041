"""How far the token estimate is off, by provider and model: a fold over calls that the provider reported its input tokens of."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import ceil, exp, log

_STEP = 0.01
_LOWEST = -500
_HIGHEST = 500
PERCENTILES = (5, 50, 95, 99)
ENOUGH = 100
"""With fewer calls the 99th percentile is a guess."""

Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Errors:
    """How often the reported input was which multiple of the estimate. Buckets are 1 % wide: a billion calls take no more room.

    A bucket `n` holds ratios above e^((n-1)/100) and up to e^(n/100). The order in which calls are folded does not matter.
    """

    buckets: Mapping[int, int] = field(default_factory=dict)

    @property
    def calls(self) -> int:
        return sum(self.buckets.values())


@dataclass(frozen=True, slots=True)
class Calibration:
    """`percentiles`: the ratio of reported input to estimate that so many percent of calls do not exceed, to 1 %.

    `factor` times the estimate is an upper bound in 99 % of these calls, and 1 where the estimate already is one.
    """

    provider: str
    model: str
    calls: int
    percentiles: Mapping[int, float]
    factor: float

    @property
    def enough(self) -> bool:
        return self.calls >= ENOUGH


def fold(errors: Errors, estimate: int, reported: int) -> Errors:
    """The errors with one more call. One without an estimate or without a report says nothing and changes nothing."""
    if estimate <= 0 or reported <= 0:
        return errors
    bucket = max(_LOWEST, min(_HIGHEST, ceil(log(reported / estimate) / _STEP - 1e-9)))
    return Errors({**errors.buckets, bucket: errors.buckets.get(bucket, 0) + 1})


def merge(one: Errors, other: Errors) -> Errors:
    """The errors of both, as of two partitions of a log."""
    return Errors({n: one.buckets.get(n, 0) + other.buckets.get(n, 0) for n in one.buckets.keys() | other.buckets.keys()})


def calibration(provider: str, model: str, errors: Errors) -> Calibration:
    """What the errors of one model come to. Raises ValueError when there are none."""
    if not errors.buckets:
        raise ValueError(f"no call of {provider}/{model} to calibrate by")
    percentiles = {percent: _bound(_at(errors, percent)) for percent in PERCENTILES}
    return Calibration(provider, model, errors.calls, percentiles, max(1.0, percentiles[99]))


def calibrate(calls: Iterable[tuple[Key, int, int]]) -> dict[Key, Calibration]:
    """From ((provider, model), estimate, reported input tokens) of many calls, what each model's come to."""
    found: dict[Key, dict[int, int]] = {}
    for key, estimate, reported in calls:
        for bucket in fold(Errors(), estimate, reported).buckets:
            counts = found.setdefault(key, {})
            counts[bucket] = counts.get(bucket, 0) + 1
    return {key: calibration(*key, Errors(counts)) for key, counts in sorted(found.items())}


def bounded(estimate: int, by: Calibration | None) -> int:
    """The estimate as an upper bound: times the factor, where enough calls speak for one; never below the estimate.

    >>> bounded(100, None)
    100
    """
    return estimate if by is None or not by.enough else ceil(estimate * by.factor)


def report(calibrations: Iterable[Calibration]) -> str:
    """A table to print: a line for each model."""
    head = f"{'provider':<16} {'model':<32} {'calls':>8}" + "".join(f" {f'p{percent}':>6}" for percent in PERCENTILES) + " factor"
    lines = [
        f"{one.provider:<16} {one.model:<32} {one.calls:>8}"
        + "".join(f" {one.percentiles[percent]:>6.2f}" for percent in PERCENTILES)
        + f" {one.factor:>6.2f}"
        + ("" if one.enough else f"  (fewer than {ENOUGH} calls: not used)")
        for one in calibrations
    ]
    return "\n".join([head, *lines])


def _at(errors: Errors, percent: int) -> int:
    """The lowest bucket that, with those below it, holds `percent` of the calls."""
    wanted, seen = errors.calls * percent / 100, 0
    for bucket in sorted(errors.buckets):
        seen += errors.buckets[bucket]
        if seen >= wanted:
            return bucket
    return max(errors.buckets)


def _bound(bucket: int) -> float:
    """The upper end of a bucket, rounded up to a thousandth, so that it still bounds."""
    return ceil(1_000 * exp(bucket * _STEP) - 1e-6) / 1_000
