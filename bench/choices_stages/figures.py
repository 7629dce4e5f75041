"""A figure: what was measured, what was asked of it, and every sample it was made of."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

DIGITS = 5


@dataclass(frozen=True, slots=True)
class Figure:
    """`asked` and `holds` are None for a figure that only explains another one."""

    name: str
    value: float
    asked: str | None = None
    holds: bool | None = None
    samples: tuple[float, ...] = ()

    def as_data(self) -> dict[str, Any]:
        return asdict(self) | {"value": rounded(self.value), "samples": [rounded(sample) for sample in self.samples]}


def at_most(name: str, value: float, limit: float, samples: Iterable[float] = ()) -> Figure:
    return Figure(name, value, f"at most {limit:g}", value <= limit, tuple(samples))


def at_least(name: str, value: float, limit: float, samples: Iterable[float] = ()) -> Figure:
    return Figure(name, value, f"at least {limit:g}", value >= limit, tuple(samples))


def told(name: str, value: float, samples: Iterable[float] = ()) -> Figure:
    """A figure of which nothing is asked."""
    return Figure(name, value, samples=tuple(samples))


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` of the values do not exceed.

    >>> quantile([4, 1, 3, 2], 0.5), quantile([1, 2, 3, 4], 0.99)
    (2, 4)
    """
    ordered = sorted(values)
    return ordered[max(0, -int(-share * len(ordered) // 1) - 1)]


def quantiles(name: str, values: Sequence[float], *shares: float) -> list[Figure]:
    """One figure a share, `name_p50` for 0.5; the first carries the samples."""
    return [told(f"{name}_p{share * 100:g}", quantile(values, share), values if share == shares[0] else ()) for share in shares]


def rounded(value: float) -> float:
    """The value to five significant digits.

    >>> rounded(0.999687), rounded(12.34567), rounded(3000)
    (0.99969, 12.346, 3000.0)
    """
    return float(f"{value:.{DIGITS}g}")
