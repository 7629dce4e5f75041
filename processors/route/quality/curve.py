"""The trade of quality for cost: what share of the requests must go to the strong model for what quality."""

from dataclasses import dataclass

import numpy as np

from processors.route.quality.columns import Array, Judged

_EPSILON = 1e-12


@dataclass(frozen=True, slots=True)
class Curve:
    """Point i: prompts of gain at least `thresholds[i]` go to the strong model, a share `shares[i]`; the mix has `qualities[i]`.

    The first point sends none, the last one all.
    """

    shares: Array
    qualities: Array
    thresholds: Array

    @property
    def weak(self) -> float:
        return float(self.qualities[0])

    @property
    def strong(self) -> float:
        return float(self.qualities[-1])


def measure(gains: Array, outcomes: Judged) -> Curve:
    """The curve of ranking by `gains`. Prompts of equal gain go together, as a threshold cannot part them."""
    order = np.argsort(-gains, kind="stable")
    ranked = gains[order]
    ends = np.append(np.flatnonzero(np.diff(ranked)), len(ranked) - 1)
    totals = outcomes.weak.sum() + np.cumsum(outcomes.gain[order])[ends]
    return Curve(
        shares=np.concatenate([[0.0], (ends + 1) / len(ranked)]),
        qualities=np.concatenate([[outcomes.weak.sum()], totals]) / len(ranked),
        thresholds=np.concatenate([[np.inf], ranked[ends]]),
    )


def thinned(curve: Curve, points: int) -> Curve:
    """Evenly spread over the shares, both ends kept."""
    wanted = np.linspace(0, 1, points)
    at = np.unique(np.searchsorted(curve.shares, wanted, side="left").clip(0, len(curve.shares) - 1))
    return Curve(curve.shares[at], curve.qualities[at], curve.thresholds[at])


def share_at(curve: Curve, quality: float) -> float:
    """The smallest share whose mix has the quality (an accuracy, say), between two points by the straight line; 1 if none has."""
    reached = np.flatnonzero(curve.qualities >= quality - _EPSILON)
    if not len(reached):
        return 1.0
    i = int(reached[0])
    if i == 0:
        return 0.0
    rise = (quality - curve.qualities[i - 1]) / (curve.qualities[i] - curve.qualities[i - 1])
    return float(curve.shares[i - 1] + rise * (curve.shares[i] - curve.shares[i - 1]))


def threshold_at(curve: Curve, target: float) -> float:
    """The highest threshold whose mix has `target` (0 to 1] of the strong model's quality. A higher target never sends fewer.

    Where no mix has it but the strong model alone, all prompts go there.
    """
    if not 0 < target <= 1:
        raise ValueError(f"the target is a share of the strong model's quality, above 0 and at most 1, not {target}")
    reached = np.flatnonzero(curve.qualities >= target * curve.strong - _EPSILON)
    return float(curve.thresholds[reached[0]]) if len(reached) else -np.inf


def recovered(curve: Curve) -> float:
    """The share of the gap between the models that the mix closes, averaged over all shares (APGR): 0.5 for a random mix."""
    gap = curve.strong - curve.weak
    if abs(gap) < _EPSILON:
        return 0.5
    area = float((np.diff(curve.shares) * (curve.qualities[1:] + curve.qualities[:-1]) / 2).sum())
    return (area - curve.weak) / gap


def random_share(curve: Curve, quality: float) -> float:
    """The share that a random mix needs: its curve is the straight line between the two models."""
    if quality <= curve.weak:
        return 0.0
    return min(1.0, (quality - curve.weak) / (curve.strong - curve.weak)) if curve.strong > curve.weak else 1.0
