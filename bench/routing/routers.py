"""The routers that are compared: each turns a training part into gains for the others."""

from collections.abc import Mapping

import numpy as np

from processors.route.quality.columns import Array
from processors.route.quality.fit import Table, fit_table
from processors.route.quality.model import QualityModel, predict_all

NEIGHBOURS = 50
ROUTERS = ("ours", "knn", "oracle")


def gains(train: Table, tested: Table, *, embedder: str) -> tuple[Mapping[str, Array], QualityModel]:
    """Predicted gains of each router, and the model that is ours. Best single and random need none: two points and a line."""
    model = fit_table(train, embedder=embedder)
    vectors = tested.vectors if model.embedder else tested.vectors[:, :0]
    return {
        "ours": predict_all(model, tested.inputs, vectors),
        "knn": _nearest(train, tested),
        "oracle": tested.outcomes.gain,
    }, model


def _nearest(train: Table, tested: Table) -> Array:
    """The mean gain of the nearest training prompts by the cosine of the vectors."""
    found = np.zeros(len(tested.rows))
    known = train.vectors.astype(np.float32).T
    for start in range(0, len(found), 256):
        near = tested.vectors[start : start + 256].astype(np.float32) @ known
        closest = np.argpartition(-near, NEIGHBOURS, axis=1)[:, :NEIGHBOURS]
        found[start : start + 256] = train.outcomes.gain[closest].mean(axis=1)
    return found
