"""The fitted model, and its prediction for one prompt: a few small products, some ten microseconds beside the features."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from processors.route.quality import blend, features
from processors.route.quality.columns import Array
from processors.route.quality.curve import Curve, threshold_at
from processors.route.quality.design import Design, columns, linear_scale

_Single = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that the rows said: enough to learn on without keeping a prompt. `rows` is their digest.

    `gram` and `moment` are sums over the columns, a moment for each head; `terms` those of the blend.
    """

    gram: Array
    moment: Array
    terms: blend.Terms
    count: int
    rows: str


@dataclass(frozen=True, slots=True)
class QualityModel:
    """`embedder` names whose vectors it wants; empty if it reads the text alone. `calibration` was measured on rows not fitted.

    `coefficients` has a column for each head. `version` is a digest of all the rest: two models of one version predict alike.
    """

    version: str
    embedder: str
    design: Design
    coefficients: Array
    blend: Array
    evidence: Evidence
    calibration: Curve


@dataclass(frozen=True, slots=True)
class Predictor:
    """A model laid out for one prompt at a time: the `GainPredictor` of routing."""

    model: QualityModel
    centre: _Single
    bound: _Single
    lower: _Single
    scale: _Single
    landmarks: _Single
    offsets: _Single
    kernel_weights: _Single
    feature_weights: _Single
    vector_weights: _Single
    constant: _Single
    blend: tuple[float, ...]

    @property
    def version(self) -> str:
        return self.model.version

    def gain(self, text: str, vector: NDArray[np.float32] | None) -> float:
        return predict(self, text, vector)

    def threshold(self, target_quality: float) -> float:
        return threshold_for(self.model, target_quality)


def predictor(model: QualityModel) -> Predictor:
    design = model.design
    kernels, inputs = design.mixing.shape[1], len(design.centre)
    kernel, linear, vector, constant = np.split(model.coefficients, [kernels, kernels + inputs, len(model.coefficients) - 1])
    vector_weights = vector * design.vector_scale
    return Predictor(
        model=model,
        centre=design.centre.astype(np.float32),
        bound=design.bound.astype(np.float32),
        lower=-design.bound.astype(np.float32),
        scale=design.scale.astype(np.float32),
        landmarks=np.ascontiguousarray(design.landmarks, np.float32),
        offsets=(-0.5 * (design.landmarks**2).sum(axis=1)).astype(np.float32),
        kernel_weights=np.ascontiguousarray((design.mixing @ kernel).T, np.float32),
        feature_weights=np.ascontiguousarray((linear * linear_scale(design.shape)).T, np.float32),
        vector_weights=np.ascontiguousarray(vector_weights.T, np.float32),
        constant=(constant[0] - design.vector_centre @ vector_weights).astype(np.float32),
        blend=tuple(model.blend.tolist()),
    )


def predict(by: Predictor, text: str, vector: NDArray[np.float32] | None = None) -> float:
    """By how much the strong model's answer is expected to be better. Raises ValueError if the vector it needs is missing."""
    return predict_from(by, features.of(text), vector)


def predict_from(by: Predictor, numbers: tuple[float, ...], vector: NDArray[np.float32] | None = None) -> float:
    """As `predict`, from the features of the text."""
    near = np.array(numbers, np.float32)
    near -= by.centre
    np.minimum(near, by.bound, out=near)
    np.maximum(near, by.lower, out=near)
    near *= by.scale
    kernels = by.landmarks @ near
    kernels += by.offsets
    kernels -= 0.5 * (near @ near)
    np.exp(kernels, out=kernels)
    heads = by.kernel_weights @ kernels
    heads += by.feature_weights @ near
    heads += by.constant
    if by.vector_weights.shape[1]:
        if vector is None:
            raise ValueError(f"quality model {by.model.version} needs the vector of {by.model.embedder}")
        heads += by.vector_weights @ vector
    return blend.blended_one(by.blend, *heads.tolist())


def predict_all(model: QualityModel, inputs: Array, vectors: Array) -> Array:
    """The predicted gains of many prompts, from their features and vectors (of no columns for a model that wants none)."""
    return blend.blended(model.blend, columns(model.design, inputs, vectors) @ model.coefficients)


def threshold_for(model: QualityModel, target_quality: float) -> float:
    """From which predicted gain on a prompt goes to the strong model, to keep `target_quality` of the strong model's quality."""
    return threshold_at(model.calibration, target_quality)
