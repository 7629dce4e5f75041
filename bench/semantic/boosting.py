"""Boosted symmetric trees and ridge regression, in numpy: small enough to read, the same result on every run."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

BINS = 48
DEPTH = 3
"""All nodes of a level ask the same question, so a tree is three questions and eight leaves."""


@dataclass(frozen=True, slots=True)
class Trees:
    """`feature` and `above` are (trees, depth), `leaf` is (trees, 2**depth), `base` the log odds before any tree."""

    base: float
    feature: NDArray[np.int16]
    above: Floats
    leaf: Floats


def fit_trees(x: Floats, y: NDArray[np.bool_], *, rounds: int, rate: float, l2: float, seed: int, sample: float = 0.6) -> Trees:
    """Newton boosting of the logistic loss on histograms; each tree sees a random half of the features."""
    draw = np.random.default_rng(seed)
    edges = [np.unique(np.quantile(column, np.linspace(0, 1, BINS + 1)[1:-1])) for column in x.T]
    binned = np.stack([np.searchsorted(e, column, side="left") for e, column in zip(edges, x.T, strict=True)])
    base = float(np.log(y.mean() / (1 - y.mean())))
    logit = np.full(len(y), base)
    features, aboves, leaves = [], [], []
    for _ in range(rounds):
        p = 1 / (1 + np.exp(-logit))
        gradient, curvature = y - p, p * (1 - p)
        allowed = np.flatnonzero(draw.random(len(edges)) < sample)
        feature, cut, node = _grow(binned, gradient, curvature, allowed, l2)
        total = np.bincount(node, gradient, 2**DEPTH) / (np.bincount(node, curvature, 2**DEPTH) + l2)
        logit += rate * total[node]
        features.append(feature)
        aboves.append([edges[f][c] for f, c in zip(feature, cut, strict=True)])
        leaves.append(rate * total)
    return Trees(base, np.array(features, np.int16), np.array(aboves, np.float32), np.array(leaves, np.float32))


def _grow(
    binned: NDArray[np.intp], gradient: Doubles, curvature: Doubles, allowed: NDArray[np.intp], l2: float
) -> tuple[list[int], list[int], NDArray[np.intp]]:
    node = np.zeros(len(gradient), np.intp)
    feature, cut = [], []
    for level in range(DEPTH):
        best = (-np.inf, 0, 0)
        for f in allowed:
            at = node * BINS + binned[f]
            g = np.bincount(at, gradient, BINS << level).reshape(-1, BINS).cumsum(1)
            h = np.bincount(at, curvature, BINS << level).reshape(-1, BINS).cumsum(1)
            rest_g, rest_h = g[:, -1:] - g, h[:, -1:] - h
            gain = (g**2 / (h + l2) + rest_g**2 / (rest_h + l2)).sum(0)[: int(binned[f].max())]
            if gain.size and gain.max() > best[0]:
                best = (float(gain.max()), int(f), int(gain.argmax()))
        feature.append(best[1])
        cut.append(best[2])
        node += (binned[best[1]] > best[2]) << level
    return feature, cut, node


def log_odds(trees: Trees, x: Floats) -> Doubles:
    node = ((x[:, trees.feature] > trees.above) << np.arange(DEPTH)).sum(2)
    return trees.base + np.take_along_axis(trees.leaf[None], node[:, :, None], 2)[:, :, 0].sum(1, dtype=np.float64)


def fit_ridge(x: Floats, y: NDArray[np.bool_], *, l2: float) -> tuple[Doubles, Doubles]:
    """(weights, predictions), each prediction as if its row had been left out: what may train the next stage."""
    target = y - y.mean()
    inverse = np.linalg.inv(x.T.astype(np.float64) @ x + l2 * np.eye(x.shape[1]))
    weights = inverse @ (x.T @ target)
    leverage = np.einsum("ij,jk,ik->i", x, inverse, x, optimize=True)
    return weights, target - (target - x @ weights) / (1 - leverage)
