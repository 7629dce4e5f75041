"""Softmax regression with soft labels, fitted by L-BFGS: numpy alone, no randomness."""

from collections import deque
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float32]
Places = NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False)
class Inputs:
    """A row for each example: numbers that every row has (`dense`), and after them `width` of which a row has few.

    The latter are triples of row, column and value, sorted by row: a hundredth of what a full matrix would take.
    """

    dense: Matrix
    width: int
    rows: Places
    columns: Places
    values: Matrix
    _by_column: Places = field(init=False)
    _row_sums: "_Sums" = field(init=False)
    _column_sums: "_Sums" = field(init=False)

    def __post_init__(self) -> None:
        order = np.argsort(self.columns, kind="stable")
        object.__setattr__(self, "_by_column", order)
        object.__setattr__(self, "_row_sums", _Sums.of(self.rows))
        object.__setattr__(self, "_column_sums", _Sums.of(self.columns[order]))

    def only(self, wanted: NDArray[np.bool_]) -> "Inputs":
        """The rows that are wanted."""
        kept, renumbered = wanted[self.rows], np.cumsum(wanted) - 1
        return Inputs(self.dense[wanted], self.width, renumbered[self.rows[kept]], self.columns[kept], self.values[kept])

    def times(self, coefficients: Matrix) -> Matrix:
        dense = self.dense.shape[1]
        product: Matrix = self.dense @ coefficients[:dense]
        self._row_sums.add(product, coefficients[dense:].take(self.columns, axis=0), self.values)
        return product

    def transposed_times(self, by_row: Matrix) -> Matrix:
        columns = np.zeros((self.width, by_row.shape[1]), dtype=np.float32)
        order = self._by_column
        self._column_sums.add(columns, by_row.take(self.rows[order], axis=0), self.values[order])
        return np.vstack([self.dense.T @ by_row, columns])


@dataclass(frozen=True, slots=True, eq=False)
class _Sums:
    """Where each run of equal places begins, in a sorted list of places."""

    present: Places
    starts: Places

    @classmethod
    def of(cls, places: Places) -> "_Sums":
        return cls(*np.unique(places, return_index=True))

    def add(self, to: Matrix, what: Matrix, values: Matrix) -> None:
        """Adds each row of `what`, times its value, to the row of `to` that is its place."""
        if len(self.starts):
            what *= values[:, None]
            to[self.present] += np.add.reduceat(what, self.starts, axis=0)


def fit(inputs: Inputs, targets: Matrix, weights: Matrix, penalty: Matrix, *, steps: int = 40) -> Matrix:
    """Coefficients (inputs x classes) of least weighted cross entropy; `penalty` is the L2 weight of each input.

    The method is that of Nocedal (1980), with a backtracking line search.
    """
    total = weights.sum()
    shape = (len(penalty), targets.shape[1])

    def loss(flat: Matrix) -> tuple[float, Matrix]:
        coefficients = flat.reshape(shape)
        shares = softmax(inputs.times(coefficients))
        value = -(weights * (targets * np.log(shares + 1e-9)).sum(axis=1)).sum() / total
        slope = inputs.transposed_times((shares - targets) * (weights / total)[:, None])
        penalised = penalty[:, None] * coefficients
        return float(value + 0.5 * (penalised * coefficients).sum()), (slope + penalised).ravel()

    at = np.zeros(shape[0] * shape[1], dtype=np.float32)
    value, slope = loss(at)
    past: deque[tuple[Matrix, Matrix, float]] = deque(maxlen=8)
    for _ in range(steps):
        direction = -_inverse(past, slope)
        along = float(direction @ slope)
        size = 1.0
        while True:
            following = at + np.float32(size) * direction
            next_value, next_slope = loss(following)
            if next_value <= value + 1e-4 * size * along or size < 1e-4:
                break
            size /= 2
        moved, turned = following - at, next_slope - slope
        if (curved := float(moved @ turned)) > 1e-12:
            past.append((moved, turned, curved))
        gained, at, value, slope = value - next_value, following, next_value, next_slope
        if gained < 1e-5:
            break
    return at.reshape(shape)


def softmax(logits: Matrix) -> Matrix:
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    return shares / shares.sum(axis=1, keepdims=True)


def _inverse(past: deque[tuple[Matrix, Matrix, float]], slope: Matrix) -> Matrix:
    """The slope times the inverse curvature that the past steps show: the two-loop recursion."""
    result = slope.copy()
    shares: list[float] = []
    for moved, turned, curved in reversed(past):
        share = float(moved @ result) / curved
        shares.append(share)
        result -= np.float32(share) * turned
    if past:
        _, turned, curved = past[-1]
        result *= np.float32(curved / float(turned @ turned))
    for (moved, turned, curved), share in zip(past, reversed(shares), strict=True):
        result += np.float32(share - float(turned @ result) / curved) * moved
    return result
