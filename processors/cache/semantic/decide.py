"""Whether a kept answer serves: the score of the pair, moved by what was seen of this entry and of its scope, against a bound.

1. The threshold is fitted once, for all: at it, at most δ of the calibration's queries were answered wrongly, with an exact
   binomial margin. So an entry that nobody has asked about may serve at once, when the score is high enough.
2. An entry that was seen to answer wrongly needs higher scores from then on, one seen to answer rightly may do with lower
   ones: as in vCache (2025), the decision is the entry's own and no single threshold fits all.
3. A scope whose traffic is harder than the calibration's moves all its entries the same way, but only towards asking.
4. A small share of what could be served is asked all the same, at random. Its comparisons are the only view of what is served:
   all others are of lower scores.
5. A threshold is lowered by proof alone: an answer that was only judged to be right gives back what wrong ones have taken, and no
   more. So no error of the judge makes an entry serve where a new one would not.
"""

import math
from dataclasses import dataclass

EXPLORED_SHARE = 0.01
ENTRY_VARIANCE = 4.0
"""Of an entry's shift, in log odds, before anything was seen: so wide that one wrong answer keeps the next from serving."""
SCOPE_VARIANCE = 0.25
CREDIBILITY = 1.64
"""Standard deviations taken off a shift before it may lower a threshold: it helps only where it is sure."""
LEARNED_WITHIN = 2.0
"""How far below its threshold a comparison still says something about what is above it, in log odds."""
_FLAT = 1e-4
"""The least that a comparison tells: without it a score far out would tell nothing, and one surprise would move it for ever."""


@dataclass(frozen=True, slots=True)
class Shift:
    """How much better or worse the scores of one entry (or scope) are than those of all: a Gaussian over log odds."""

    mean: float
    variance: float
    seen: int = 0


NEW_ENTRY = Shift(0.0, ENTRY_VARIANCE)
NEW_SCOPE = Shift(0.0, SCOPE_VARIANCE)


@dataclass(frozen=True, slots=True)
class Serve:
    """The kept answer serves; `margin` is how far above the threshold, in log odds."""

    margin: float


@dataclass(frozen=True, slots=True)
class Ask:
    """The question goes its way. `compare`: once its answer is there, say to `observe` whether the kept one would have done."""

    compare: bool
    explored: bool = False


def decide(
    entry: Shift, scope: Shift, score: float, *, threshold: float, draw: float, explored_share: float = EXPLORED_SHARE
) -> Serve | Ask:
    """`score`: log odds of the best entry that the guards let pass. `threshold`: the scorer's, for the tenant's δ.

    `draw`, uniform in [0, 1), comes from the caller, from a hash of the request's id: a replay decides alike.

    >>> decide(NEW_ENTRY, NEW_SCOPE, 3.0, threshold=2.0, draw=0.5)
    Serve(margin=1.0)
    >>> decide(observe(NEW_ENTRY, 3.0, right=False), NEW_SCOPE, 3.0, threshold=2.0, draw=0.5)
    Ask(compare=True, explored=False)
    """
    margin = score + _moved(entry) + min(0.0, scope.mean) - threshold
    if margin < 0:
        return Ask(compare=score > threshold - LEARNED_WITHIN)
    if draw < explored_share:
        return Ask(compare=True, explored=True)
    return Serve(margin)


def observe(shift: Shift, score: float, *, right: bool, proven: bool = True) -> Shift:
    """The shift after one comparison: one step of Bayesian logistic regression (the Laplace approximation).

    A right answer that is not `proven` moves a shift up to zero at most, and leaves alone one that is there.
    """
    unproven = right and not proven
    if unproven and shift.mean >= 0:
        return Shift(shift.mean, shift.variance, shift.seen + 1)
    p = 1 / (1 + math.exp(-max(-30.0, min(30.0, score + shift.mean))))
    variance = 1 / (1 / shift.variance + max(p * (1 - p), _FLAT))
    mean = shift.mean + variance * (right - p)
    return Shift(min(mean, 0.0) if unproven else mean, variance, shift.seen + 1)


def _moved(entry: Shift) -> float:
    """A worse entry counts in full, a better one as far as it is certain."""
    if entry.mean <= 0:
        return entry.mean
    return max(0.0, entry.mean - CREDIBILITY * math.sqrt(entry.variance))
