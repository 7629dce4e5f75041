"""From features and vectors to the columns that a linear model weighs: kernels to landmarks, the features, the vector, a one.

The columns are scaled so that a ridge penalty of `NOISE` on all of them is the posterior mean of a Gaussian process: `kernel`,
`linear` and `vector` of `Shape` are the variances that its parts have before anything was seen.
"""

from dataclasses import dataclass

import numpy as np

from processors.route.quality.columns import Array, Judged

NOISE = 0.23
"""The variance of one observed gain, which is -1, 0 or 1: far above that of what can be predicted."""
LANDMARKS = 320
_FARTHEST = 3.0
"""Standard deviations: an odd text counts as no odder than this."""
_INDISTINCT = 1e-4
_CONSTANT_VARIANCE = 1.0
_CHANCE = 4.0
"""A squared t of this size is half believed."""


@dataclass(frozen=True, slots=True)
class Shape:
    """`reach` is how far a landmark is felt, in standard deviations of the (weighted) features together."""

    kernel: float
    linear: float
    vector: float
    reach: float


@dataclass(frozen=True, slots=True)
class Design:
    """`scale` divides by the deviation and multiplies by the relevance. `mixing` makes orthogonal columns of the kernels."""

    shape: Shape
    centre: Array
    bound: Array
    scale: Array
    landmarks: Array
    mixing: Array
    vector_centre: Array
    vector_scale: float


def of(shape: Shape, features: Array, vectors: Array, outcomes: Judged) -> Design:
    """The design of a training set. The first rows become the landmarks: sort them by what means nothing, such as a hash."""
    centre = features.mean(axis=0)
    deviation = features.std(axis=0)
    varies = deviation > 1e-9
    deviation = np.where(varies, deviation, 1.0)
    bound = _FARTHEST * deviation
    scaled = np.clip(features - centre, -bound, bound) / deviation
    weight = np.where(varies, _relevance(scaled, outcomes), 0.0)
    scale = np.sqrt(weight / max(weight.sum(), 1e-9)) / deviation / shape.reach
    landmarks = (np.clip(features[:LANDMARKS] - centre, -bound, bound)) * scale
    values, directions = np.linalg.eigh(_kernel(landmarks, landmarks))
    kept = values > _INDISTINCT
    centred = vectors - vectors.mean(axis=0)
    length = float(np.sqrt((centred**2).sum(axis=1).mean())) if vectors.shape[1] else 1.0
    return Design(
        shape=shape,
        centre=centre,
        bound=bound,
        scale=scale,
        landmarks=landmarks,
        mixing=directions[:, kept] / np.sqrt(values[kept]) * np.sqrt(shape.kernel),
        vector_centre=vectors.mean(axis=0),
        vector_scale=float(np.sqrt(shape.vector)) / max(length, 1e-9),
    )


def columns(design: Design, features: Array, vectors: Array) -> Array:
    """One row for each text, the constant last."""
    near = np.clip(features - design.centre, -design.bound, design.bound) * design.scale
    return np.hstack(
        [
            _kernel(near, design.landmarks) @ design.mixing,
            near * linear_scale(design.shape),
            (vectors - design.vector_centre) * design.vector_scale,
            np.full((len(features), 1), np.sqrt(_CONSTANT_VARIANCE)),
        ]
    )


def linear_scale(shape: Shape) -> float:
    """What makes a linear column of a scaled feature."""
    return float(shape.reach * np.sqrt(shape.linear))


def _relevance(scaled: Array, outcomes: Judged) -> Array:
    """How surely a feature has to do with either model's quality or the gain, 0 to 1: others would only blur what is near."""
    return (
        sum((_belief(scaled, values) for values in (outcomes.gain, outcomes.weak, outcomes.strong)), np.zeros(scaled.shape[1]))
        / 3
    )


def _belief(scaled: Array, values: Array) -> Array:
    deviation = float(values.std())
    if deviation < 1e-9:
        return np.zeros(scaled.shape[1])
    squared_t = (scaled.T @ (values - values.mean()) / deviation) ** 2 / len(values)
    return np.asarray(squared_t / (squared_t + _CHANCE))


def _kernel(rows: Array, landmarks: Array) -> Array:
    distances = (rows**2).sum(axis=1)[:, None] + (landmarks**2).sum(axis=1)[None] - 2 * rows @ landmarks.T
    return np.asarray(np.exp(-0.5 * np.maximum(distances, 0)))
