"""How many wrong answers a calibration may show so that the true share stays below the bound."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """`wrong` holds the scores at which calibration queries would have been answered wrongly, `part` the parts they belong to.

    `queries` is the number of calibration queries in each part, answered or not.
    """

    wrong: NDArray[np.float32]
    part: NDArray[np.int16]
    queries: NDArray[np.int64]

    def threshold(self, delta: float, *, confidence: float = 0.99, without_part: int | None = None) -> float:
        """The score above which to serve so that, with `confidence`, at most `delta` of all queries are answered wrongly.

        Infinite when too few queries were seen to say so. `without_part` leaves out the calibration queries of a part, to
        judge the bound on them.
        """
        kept = np.ones(len(self.queries), bool)
        if without_part is not None:
            kept[without_part] = False
        wrong = np.sort(self.wrong[kept[self.part]])[::-1]
        allowed = allowed_wrong(int(self.queries[kept].sum()), delta, confidence=confidence)
        if allowed < 0 or not len(wrong):
            return math.inf
        return float(np.nextafter(wrong[min(allowed, len(wrong) - 1)], np.float32(np.inf)))


def allowed_wrong(queries: int, delta: float, *, confidence: float) -> int:
    """The most wrong answers among `queries` that rule out, at `confidence`, a true share above `delta`; -1 when none does.

    The exact binomial test (Clopper and Pearson, 1934). Thresholds are tried from strict to lax and the wrong answers only
    grow, so the last threshold that passes keeps the confidence (fixed sequence testing, as in "Learn then Test", 2021).

    >>> allowed_wrong(20_000, 0.01, confidence=0.99)
    167
    >>> allowed_wrong(100, 0.01, confidence=0.99)
    -1
    """
    if not 0 < delta < 1:
        raise ValueError(f"a bound is a share between 0 and 1, not {delta}")
    at_least, allowed = 0.0, -1
    for wrong in range(queries + 1):
        at_least += math.exp(_log_choose(queries, wrong) + wrong * math.log(delta) + (queries - wrong) * math.log1p(-delta))
        if at_least > 1 - confidence:
            return allowed
        allowed = wrong
    return allowed


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
