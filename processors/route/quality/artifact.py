"""A model as bytes: one `.npz` of plain arrays, no code, no prompt."""

import hashlib
import io
import json
from typing import Any
from zipfile import BadZipFile

import numpy as np

from processors.route.quality import features
from processors.route.quality.blend import Terms
from processors.route.quality.columns import Array
from processors.route.quality.curve import Curve
from processors.route.quality.design import Design, Shape
from processors.route.quality.model import Evidence, QualityModel

FORMAT = 2
_DIGITS = 16


def versioned(
    *, embedder: str, design: Design, coefficients: Array, blend: Array, evidence: Evidence, calibration: Curve
) -> QualityModel:
    """The model with its version: a digest of its arrays, the rows that it was fitted on, and the embedder's name.

    The arrays are rounded to what is saved first: a model that was loaded predicts what it predicted before.
    """
    given = QualityModel("", embedder, design, coefficients, blend, evidence, calibration)
    arrays, meta = _taken_apart(given)
    content = hashlib.sha256(json.dumps(meta, sort_keys=True).encode())
    for name in sorted(arrays):
        content.update(name.encode() + str(arrays[name].shape).encode() + arrays[name].tobytes())
    return _put_together(arrays, {**meta, "version": content.hexdigest()[:_DIGITS]})


def dumps(model: QualityModel) -> bytes:
    arrays, meta = _taken_apart(model)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, meta=np.array(json.dumps({**meta, "version": model.version})), **arrays)
    return buffer.getvalue()


def loads(content: bytes) -> QualityModel:
    """The model that was saved. Raises ValueError if it is none, of another format or features, or not what its version says."""
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files if name != "meta"}
            meta = json.loads(str(stored["meta"]))
        if (meta["format"], meta["features"]) != (FORMAT, features.VERSION):
            raise ValueError(f"the quality model is of format {meta['format']}, features {meta['features']}: fit it again")
        given = _put_together(arrays, meta)
    except (BadZipFile, EOFError, KeyError) as error:
        raise ValueError(f"the bytes are no quality model: {error}") from error
    checked = versioned(
        embedder=given.embedder,
        design=given.design,
        coefficients=given.coefficients,
        blend=given.blend,
        evidence=given.evidence,
        calibration=given.calibration,
    )
    if checked.version != given.version:
        raise ValueError(f"the quality model is damaged: its content is not that of version {given.version}")
    return given


def _taken_apart(model: QualityModel) -> tuple[dict[str, Array], dict[str, Any]]:
    design = model.design
    arrays = {
        "centre": design.centre,
        "bound": design.bound,
        "scale": design.scale,
        "landmarks": design.landmarks,
        "mixing": design.mixing,
        "vector_centre": design.vector_centre,
        "coefficients": model.coefficients,
        "blend": model.blend,
        "term_gram": model.evidence.terms.gram,
        "term_moment": model.evidence.terms.moment,
        "gram": model.evidence.gram[np.triu_indices(len(model.evidence.gram))],
        "moment": model.evidence.moment,
        "shares": model.calibration.shares,
        "qualities": model.calibration.qualities,
        "thresholds": model.calibration.thresholds,
    }
    meta = {
        "format": FORMAT,
        "features": features.VERSION,
        "embedder": model.embedder,
        "shape": [design.shape.kernel, design.shape.linear, design.shape.vector, design.shape.reach],
        "vector_scale": design.vector_scale,
        "count": model.evidence.count,
        "rows": model.evidence.rows,
    }
    return {name: np.ascontiguousarray(array, np.float32) for name, array in arrays.items()}, meta


def _put_together(arrays: dict[str, Any], meta: dict[str, Any]) -> QualityModel:
    a = {name: array.astype(np.float64) for name, array in arrays.items()}
    size = len(a["moment"])
    gram = np.zeros((size, size))
    gram[np.triu_indices(size)] = a["gram"]
    return QualityModel(
        version=meta["version"],
        embedder=meta["embedder"],
        design=Design(
            shape=Shape(*meta["shape"]),
            centre=a["centre"],
            bound=a["bound"],
            scale=a["scale"],
            landmarks=a["landmarks"],
            mixing=a["mixing"],
            vector_centre=a["vector_centre"],
            vector_scale=meta["vector_scale"],
        ),
        coefficients=a["coefficients"],
        blend=a["blend"],
        evidence=Evidence(
            gram=gram + np.triu(gram, 1).T,
            moment=a["moment"],
            terms=Terms(a["term_gram"], a["term_moment"]),
            count=meta["count"],
            rows=meta["rows"],
        ),
        calibration=Curve(a["shares"], a["qualities"], a["thresholds"]),
    )
