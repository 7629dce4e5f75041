"""What is said of a router on a part that it was not fitted on."""

from collections.abc import Mapping, Sequence
from statistics import median

import numpy as np

from processors.route.quality.columns import Array
from processors.route.quality.curve import Curve, random_share, recovered, share_at

GRID = np.linspace(0, 1, 101)
TARGETS = (0.95, 0.99)


def of(curve: Curve) -> dict[str, float]:
    """Shares sent to the strong model, and how much less that is than a random mix sends, for 95 and 99 % of its quality.

    Read in two ways. `accuracy`: the mix is right 95 % as often as the strong model. `gap`: it closes 95 % of the gap.
    """
    figures = {"apgr": recovered(curve), "weak": curve.weak, "strong": curve.strong}
    for target in TARGETS:
        for reading, quality in (
            ("accuracy", target * curve.strong),
            ("gap", curve.weak + target * (curve.strong - curve.weak)),
        ):
            share, random = share_at(curve, quality), random_share(curve, quality)
            name = f"{reading}_{target * 100:.0f}"
            figures |= {f"share_{name}": share, f"random_{name}": random, f"saved_{name}": 1 - share / random if random else 0.0}
    return figures


def summary(repeats: Sequence[Mapping[str, float]]) -> dict[str, dict[str, float]]:
    """Of each figure the median over the repeats, and the quarter and three-quarter points."""
    return {
        name: {
            "median": round(median(r[name] for r in repeats), 4),
            "q25": round(float(np.quantile([r[name] for r in repeats], 0.25)), 4),
            "q75": round(float(np.quantile([r[name] for r in repeats], 0.75)), 4),
        }
        for name in repeats[0]
    }


def mean_curve(curves: Sequence[Curve]) -> Array:
    """The mean quality at each point of `GRID`."""
    return np.asarray(np.mean([np.interp(GRID, curve.shares, curve.qualities) for curve in curves], axis=0))
