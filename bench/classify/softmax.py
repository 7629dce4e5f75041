"""Softmax regression with soft labels, fitted by L-BFGS: numpy alone, no randomness."""

from collections import deque

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float32]


def fit(inputs: Matrix, targets: Matrix, weights: Matrix, penalty: Matrix, *, steps: int = 120) -> Matrix:
    """Coefficients (inputs x classes) of least weighted cross entropy; `penalty` is the L2 weight of each input.

    The method is that of Nocedal (1980), with a backtracking line search.
    """
    total = weights.sum()

    def loss(flat: Matrix) -> tuple[float, Matrix]:
        coefficients = flat.reshape(inputs.shape[1], targets.shape[1])
        shares = softmax(inputs @ coefficients)
        value = -(weights * (targets * np.log(shares + 1e-9)).sum(axis=1)).sum() / total
        slope = inputs.T @ ((shares - targets) * (weights / total)[:, None])
        penalised = penalty[:, None] * coefficients
        return float(value + 0.5 * (penalised * coefficients).sum()), (slope + penalised).ravel()

    at = np.zeros(inputs.shape[1] * targets.shape[1], dtype=np.float32)
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
    return at.reshape(inputs.shape[1], targets.shape[1])


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
