"""What is learnt from, as columns: the form that numpy computes with."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from processors.route.quality.outcomes import Outcome

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Judged:
    """The qualities of many prompts as columns."""

    weak: Array
    strong: Array

    @property
    def gain(self) -> Array:
        return self.strong - self.weak


def judged(rows: Sequence[Outcome]) -> Judged:
    return Judged(np.array([row.weak for row in rows], np.float64), np.array([row.strong for row in rows], np.float64))
