"""Rows in, a model out: ridge in closed form, its shape chosen by how well it ranks topics and rows that it did not see."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add
from statistics import fmean

import numpy as np

from processors.route.quality import blend, features
from processors.route.quality.artifact import versioned
from processors.route.quality.columns import Array, Judged, judged
from processors.route.quality.curve import measure, recovered, thinned
from processors.route.quality.design import NOISE, Design, Shape, columns
from processors.route.quality.design import of as design_of
from processors.route.quality.model import Evidence, QualityModel
from processors.route.quality.outcomes import Outcome, digest, digest_of_all, fold, folds_of_topics

SHAPES = (
    Shape(kernel=0.06, linear=0.01, vector=0.0, reach=0.7),
    Shape(kernel=0.06, linear=0.01, vector=0.003, reach=0.7),
)
FEWEST_ROWS = 200
_FOLDS = 4
_FEWEST_TOPICS = 4
_POINTS = 401
_VECTOR_EARNS = 0.005
"""Of the gap: a smaller difference is chance, and an embedding costs more than all else of a decision."""
_LOSS_BELIEVED = 0.5
"""Where the weak model alone was right it was mostly luck: such a row counts as half a loss. Found on rows not fitted."""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows in the order of their digests, as numbers."""

    rows: tuple[Outcome, ...]
    inputs: Array
    vectors: Array
    outcomes: Judged

    def part(self, chosen: Array) -> "Table":
        at = np.flatnonzero(chosen)
        outcomes = Judged(self.outcomes.weak[at], self.outcomes.strong[at])
        return Table(tuple(self.rows[i] for i in at), self.inputs[at], self.vectors[at], outcomes)


@dataclass(frozen=True, slots=True)
class Unseen:
    """What was predicted of each row by models that were not fitted on it: a column for each head, and the gain."""

    heads: Array
    gains: Array


def tabulated(rows: Sequence[Outcome], vectors: Array) -> Table:
    """Rows and their vectors, sorted: what is fitted does not depend on the order in which they came."""
    order = sorted(range(len(rows)), key=lambda i: digest(rows[i]))
    chosen = tuple(rows[i] for i in order)
    inputs = np.array([features.of(row.text) for row in chosen], np.float64).reshape(len(chosen), len(features.NAMES))
    return Table(chosen, inputs, np.asarray(vectors, np.float64)[order], judged(chosen))


def fit(rows: Sequence[Outcome], vectors: Array, *, embedder: str, shapes: Sequence[Shape] = SHAPES) -> QualityModel:
    """The model of the rows. `vectors` has a row for each, of no columns to read the text alone. ValueError if rows are too few.

    Every choice is made by parts of these rows that the candidate was not fitted on: half by topics left out, half by rows.
    """
    if len(rows) < FEWEST_ROWS:
        raise ValueError(f"{len(rows)} rows are too few to learn from; {FEWEST_ROWS} are the least")
    return fit_table(tabulated(rows, vectors), embedder=embedder, shapes=shapes)


def fit_table(table: Table, *, embedder: str, shapes: Sequence[Shape] = SHAPES) -> QualityModel:
    """As `fit`, of rows that are numbers already."""
    suitable = [shape for shape in shapes if table.vectors.shape[1] or not shape.vector]
    unseen = {shape: out_of_fold(table, shape) for shape in suitable}
    best = max(suitable, key=lambda shape: _worth(shape, unseen[shape], table.outcomes))
    used = table if best.vector else Table(table.rows, table.inputs, table.vectors[:, :0], table.outcomes)
    design = design_of(best, used.inputs, used.vectors, used.outcomes)
    evidence = evidence_of(design, used, unseen[best][-1].heads)
    twice = Judged(np.tile(table.outcomes.weak, 2), np.tile(table.outcomes.strong, 2))
    return versioned(
        embedder=embedder if best.vector else "",
        design=design,
        coefficients=solved(evidence.gram, evidence.moment),
        blend=blend.fitted(evidence.terms),
        evidence=evidence,
        calibration=thinned(measure(np.concatenate([each.gains for each in unseen[best]]), twice), _POINTS),
    )


def _worth(shape: Shape, unseen: Iterable[Unseen], outcomes: Judged) -> float:
    """The gap closed on average over both ways of leaving out; less what a shape that wants vectors must earn."""
    return fmean([recovered(measure(each.gains, outcomes)) for each in unseen]) - (_VECTOR_EARNS if shape.vector else 0)


def out_of_fold(table: Table, shape: Shape) -> tuple[Unseen, Unseen]:
    """Predicted for every row by a model of the others: of other topics, and of other rows."""
    parts = folds_of_topics((row.topic for row in table.rows), _FOLDS)
    by_row = np.array([fold(digest(row), _FOLDS) for row in table.rows])
    enough = len({row.topic for row in table.rows}) >= _FEWEST_TOPICS
    by_topic = np.array([parts[row.topic] for row in table.rows]) if enough else by_row
    of_other_topics, of_other_rows = _left_out(table, shape, by_topic), _left_out(table, shape, by_row)
    return (
        Unseen(of_other_topics, blended_apart(of_other_topics, table.outcomes, by_topic, learnt=of_other_rows)),
        Unseen(of_other_rows, blended_apart(of_other_rows, table.outcomes, by_row, learnt=of_other_rows)),
    )


def _left_out(table: Table, shape: Shape, folds: Array) -> Array:
    vectors = table.vectors if shape.vector else table.vectors[:, :0]
    heads = np.zeros((len(table.rows), blend.HEADS))
    for part in np.unique(folds):
        train = Table((), table.inputs[folds != part], vectors[folds != part], _of(table.outcomes, folds != part))
        design = design_of(shape, train.inputs, train.vectors, train.outcomes)
        x = columns(design, train.inputs, train.vectors)
        weights = solved(x.T @ x, x.T @ targets(train.outcomes))
        heads[folds == part] = columns(design, table.inputs[folds == part], vectors[folds == part]) @ weights
    return heads


def blended_apart(heads: Array, outcomes: Judged, folds: Array, *, learnt: Array, known: blend.Terms | None = None) -> Array:
    """The gains of each part by a blend of the other parts' rows, and of what is `known` besides.

    `learnt` are the heads that the blend is fitted on: of models that knew other rows of the same topics. Far from all
    that a model knows its heads say little, and a topic left out that holds many rows would spoil the blend of all others.
    """
    parts = np.unique(folds)
    own = [blend.sums(learnt[folds == part], outcomes.gain[folds == part]) for part in parts]
    gains = np.zeros(len(heads))
    for i, part in enumerate(parts):
        others = [*own[:i], *own[i + 1 :], *([known] if known is not None else [])]
        gains[folds == part] = blend.blended(blend.fitted(reduce(add, others)), heads[folds == part])
    return gains


def _of(outcomes: Judged, chosen: Array) -> Judged:
    return Judged(outcomes.weak[chosen], outcomes.strong[chosen])


def targets(outcomes: Judged) -> Array:
    """What is fitted, a column for each head: the gain, a loss at half its size; and how often either model is right."""
    return np.column_stack(
        [np.where(outcomes.gain < 0, _LOSS_BELIEVED * outcomes.gain, outcomes.gain), outcomes.weak, outcomes.strong]
    )


def evidence_of(design: Design, table: Table, unseen: Array) -> Evidence:
    """`unseen`: the heads of these rows, predicted by models without them."""
    x = columns(design, table.inputs, table.vectors)
    terms = blend.sums(unseen, table.outcomes.gain)
    return Evidence(x.T @ x, x.T @ targets(table.outcomes), terms, len(table.rows), digest_of_all(table.rows))


def solved(gram: Array, moment: Array) -> Array:
    """The ridge: the penalty is the noise, as the columns carry their variances."""
    return np.asarray(np.linalg.solve(gram + NOISE * np.eye(len(gram)), moment))
