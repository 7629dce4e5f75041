"""The last step of a prediction: from what is expected of either model to the gain.

A prompt that the weak model finds easy gains nothing, nor does one that both fail: the gain is greatest in between. Gains alone
are mostly noise, and show little of that; how often a model is right is seen far better. So three things are predicted of a
prompt, and the gain is a small quadratic of them, fitted on predictions for rows that they were not fitted on.
"""

from dataclasses import dataclass

import numpy as np

from processors.route.quality.columns import Array

HEADS = 3
"""What is predicted of a prompt, in this order: the target, the weak model's quality, the strong one's."""
_SIZE = 9
_MIDDLE = np.array([0.0, 0.5, 0.5])
_PENALTY = 30.0
"""In rows: so many would have to speak for a term before it is half believed."""
_CONSTANT = 1e-6


@dataclass(frozen=True, slots=True)
class Terms:
    """Sums over rows that were not fitted: of the products of the terms (a one stands last), and of the terms with the gains."""

    gram: Array
    moment: Array

    def __add__(self, other: "Terms") -> "Terms":
        return Terms(self.gram + other.gram, self.moment + other.moment)

    def __rmul__(self, weight: float) -> "Terms":
        return Terms(weight * self.gram, weight * self.moment)


def sums(predicted: Array, gains: Array) -> Terms:
    """`predicted` has a row for each prompt and a column for each head."""
    q = np.hstack([terms(predicted), np.ones((len(predicted), 1))])
    return Terms(q.T @ q, q.T @ gains)


def terms(predicted: Array) -> Array:
    g, w, s = (predicted - _MIDDLE).T
    return np.column_stack([g, w, s, w * w, w * s, s * s, g * w, g * s, g * g])


def fitted(of: Terms) -> Array:
    """A weight for each term, and the constant: a ridge on the terms brought to one scale."""
    count = of.gram[-1, -1]
    mean, mean_gain = of.gram[-1, :-1] / count, of.moment[-1] / count
    covariance = of.gram[:-1, :-1] / count - np.outer(mean, mean)
    variance = np.diag(covariance)
    varies = variance > _CONSTANT
    scale = np.where(varies, 1 / np.sqrt(np.where(varies, variance, 1.0)), 0.0)
    penalised = covariance * np.outer(scale, scale) + _PENALTY / count * np.eye(_SIZE)
    weights = scale * np.linalg.solve(penalised, scale * (of.moment[:-1] / count - mean * mean_gain))
    return np.append(weights, mean_gain - mean @ weights)


def blended(weights: Array, predicted: Array) -> Array:
    """The gains of many prompts."""
    return np.asarray(terms(predicted) @ weights[:-1] + weights[-1])


def blended_one(weights: tuple[float, ...], target: float, weak: float, strong: float) -> float:
    """As `blended`, of one prompt: in plain numbers, which are faster than arrays of nine."""
    g, w, s = target, weak - 0.5, strong - 0.5
    a, b, c, d, e, f, h, i, j, constant = weights
    return constant + g * (a + h * w + i * s + j * g) + w * (b + d * w + e * s) + s * (c + f * s)
