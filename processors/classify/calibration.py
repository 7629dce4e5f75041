"""How far the token estimate is off, by provider and model: a fold over calls that the provider reported its input tokens of."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import ceil, exp, log

from schemas.calls import UsageSource
from schemas.ledger import CostEvent, CostKind

_STEP = 0.01
_LOWEST = -500
_HIGHEST = 500
PERCENTILES = (5, 50, 95, 99)
ENOUGH = 100
"""With fewer calls the 99th percentile is a guess."""
LATELY = 10_000
"""Of how many calls a model remembers what they came to; beyond, all that went before counts half."""
_MOVES_BY = 1.5 * _STEP
"""Between one bucket and two: a factor at the edge of its bucket stays where it is."""

Key = tuple[str, str]
"""Provider and model, as it was asked for."""

Factors = Mapping[Key, float]
"""What the estimate is multiplied with to be a bound; where it is one already, or too little is known, there is none."""

Told = tuple[Key, int, int]
"""What one call tells: whose it was, the estimate before any calibration, and the input tokens that the provider reported."""


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


def told(event: CostEvent) -> Told | None:
    """What a line of the ledger tells; None for one that is no call, or whose input the provider did not count rightly.

    The estimate on it is the one before calibration: factors that were learnt from their own effect would fall back to 1.
    """
    usage, estimate = event.usage, event.input_tokens_estimate
    if event.kind is not CostKind.CALL or usage is None or estimate is None:
        return None
    if usage.source is not UsageSource.REPORTED or usage.clamped or estimate <= 0 or usage.input_tokens <= 0:
        return None
    return (event.provider, event.model), estimate, usage.input_tokens


def fold(errors: Errors, estimate: int, reported: int) -> Errors:
    """The errors with one more call. One without an estimate or without a report says nothing and changes nothing."""
    if estimate <= 0 or reported <= 0:
        return errors
    bucket = _bucket(estimate, reported)
    return Errors({**errors.buckets, bucket: errors.buckets.get(bucket, 0) + 1})


def merge(one: Errors, other: Errors) -> Errors:
    """The errors of both, as of two partitions of a log."""
    return Errors({n: one.buckets.get(n, 0) + other.buckets.get(n, 0) for n in one.buckets.keys() | other.buckets.keys()})


def learn(known: Mapping[Key, Errors], calls: Iterable[Told]) -> dict[Key, Errors]:
    """The errors by provider and model with these calls more, and less of what is long ago."""
    found: dict[Key, dict[int, int]] = {}
    for key, estimate, reported in calls:
        if estimate > 0 and reported > 0:
            counts, bucket = found.setdefault(key, {}), _bucket(estimate, reported)
            counts[bucket] = counts.get(bucket, 0) + 1
    learnt = {key: merge(known.get(key, Errors()), Errors(counts)) for key, counts in found.items()}
    return {**known, **{key: _aged(errors) for key, errors in learnt.items()}}


def calibration(provider: str, model: str, errors: Errors) -> Calibration:
    """What the errors of one model come to. Raises ValueError when there are none."""
    if not errors.buckets:
        raise ValueError(f"no call of {provider}/{model} to calibrate by")
    percentiles = {percent: _bound(_at(errors, percent)) for percent in PERCENTILES}
    return Calibration(provider, model, errors.calls, percentiles, max(1.0, percentiles[99]))


def calibrations(known: Mapping[Key, Errors]) -> dict[Key, Calibration]:
    """What the errors of each model come to, in the order of their names."""
    return {key: calibration(*key, errors) for key, errors in sorted(known.items()) if errors.buckets}


def settled(standing: Factors, found: Mapping[Key, Calibration]) -> dict[Key, float]:
    """The factors to use from now on: a standing one stays until it is off by more than a percent.

    Without that, a factor between two buckets would move with every call, and with it the order of deployments of like price.
    """
    factors = {}
    for key, by in found.items():
        stands = standing.get(key, 1.0)
        factor = by.factor if by.enough and abs(log(by.factor / stands)) > _MOVES_BY else stands
        if factor > 1.0:
            factors[key] = factor
    return factors


def bounded(estimate: int, factor: float | None) -> int:
    """The estimate as an upper bound; never below the estimate.

    >>> bounded(100, None), bounded(100, 1.234)
    (100, 124)
    """
    return estimate if factor is None else ceil(estimate * max(factor, 1.0))


def _aged(errors: Errors) -> Errors:
    """Those of the last calls: what a tokenizer did long ago must not outweigh what it does now."""
    while errors.calls > LATELY:
        errors = Errors({n: count // 2 for n, count in errors.buckets.items() if count > 1})
    return errors


def _bucket(estimate: int, reported: int) -> int:
    return max(_LOWEST, min(_HIGHEST, ceil(log(reported / estimate) / _STEP - 1e-9)))


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
