"""How likely two questions ask the same: a linear model of their vectors, then boosted trees, then a table of what went wrong.

The weights come as several models, each fitted without one part of the pairs. Their mean scores what is new; the one that
has not seen a pair's part scores pairs of the fitted kind, so that a figure about them is honest.
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from processors.cache.semantic.bound import Calibration
from processors.cache.semantic.features import PairFeatures, Rarity, compare
from processors.cache.semantic.question import Question

VERSION: Final = "penstock-same-question/1"
"""Raise it when features or weights change: scores and the thresholds that belong to them move together."""
_CALIBRATIONS = ("alone", "crowd")
_WEIGHTS = Path(__file__).with_name("weights")

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Scorer:
    """`wide` is (models, features), `shift` their intercepts; `feature`, `above` and `leaf` are (models, trees, …).

    `alone` was calibrated where each question met one entry, `crowd` where it met the nearest of some twenty thousand.
    """

    rarity: Rarity
    wide: Floats
    shift: Doubles
    base: Doubles
    feature: NDArray[np.int16]
    above: Floats
    leaf: Floats
    alone: Calibration
    crowd: Calibration

    @property
    def parts(self) -> int:
        return len(self.shift)

    def compare(self, a: Question, b: Question) -> PairFeatures:
        return compare(a, b, self.rarity)

    def scores(self, pairs: Sequence[PairFeatures]) -> Doubles:
        """Log odds that each pair asks the same, (models, pairs)."""
        wide = np.stack([pair.wide for pair in pairs]) @ self.wide.T + self.shift
        narrow = np.stack([pair.narrow for pair in pairs])
        return np.stack([self._trees(model, np.column_stack([narrow, wide[:, model]])) for model in range(self.parts)])

    def score(self, pairs: Sequence[PairFeatures]) -> Doubles:
        """Log odds that each pair asks the same: the mean of the models."""
        mean: Doubles = self.scores(pairs).mean(0)
        return mean

    def _trees(self, model: int, x: Floats) -> Doubles:
        node = ((x[:, self.feature[model]] > self.above[model]) << np.arange(self.feature.shape[2])).sum(2)
        leaves = np.take_along_axis(self.leaf[model][None], node[:, :, None], 2)[:, :, 0]
        return np.asarray(self.base[model] + leaves.sum(1, dtype=np.float64))


def part_of(a: str, b: str, parts: int) -> int:
    """The part of a pair, the same for (a, b) and (b, a): whoever fits and whoever evaluates must agree on it."""
    return zlib.crc32("\0".join(sorted((a, b))).encode()) % parts


def load(name: str) -> Scorer:
    """The scorer fitted for vectors of this kind, "wordllama" or "minilm". Raises FileNotFoundError for another."""
    return read(_WEIGHTS / f"{name}.npz")


@cache
def read(path: Path) -> Scorer:
    """The scorer that a file holds. Raises ValueError for weights of another version."""
    with np.load(path) as held:
        if str(held["version"]) != VERSION:
            raise ValueError(f"{path.name} holds {held['version']}, {VERSION} was expected; run bench/semantic/fit.py")
        fields: dict[str, Any] = {name: held[name] for name in Scorer.__slots__ if name not in _CALIBRATIONS}
        for name in _CALIBRATIONS:
            fields[name] = Calibration(**{column: held[f"{name}_{column}"] for column in Calibration.__slots__})
        return Scorer(**fields)


def write(scorer: Scorer, path: Path) -> None:
    models: dict[str, Any] = {name: getattr(scorer, name) for name in Scorer.__slots__ if name not in _CALIBRATIONS}
    tables: dict[str, Any] = {
        f"{name}_{column}": getattr(getattr(scorer, name), column) for name in _CALIBRATIONS for column in Calibration.__slots__
    }
    np.savez_compressed(path, version=np.array(VERSION), **models, **tables)
