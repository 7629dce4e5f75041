"""A model and new judged outcomes in; a new version out, or why the old one stays. No prompt of the old rows is needed."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from processors.route.quality import blend
from processors.route.quality.artifact import versioned
from processors.route.quality.columns import Array
from processors.route.quality.curve import Curve, measure, recovered, share_at, thinned
from processors.route.quality.design import columns
from processors.route.quality.fit import Table, Unseen, blended_apart, evidence_of, solved, tabulated, targets
from processors.route.quality.model import Evidence, QualityModel, predict_all
from processors.route.quality.outcomes import Outcome, digest, fold

FEWEST_NEW = 100
HELD_OUT = 5
"""One new row in five judges, and is never fitted."""
_FOLDS = 4
_TRUSTS = (1.0, 0.3, 0.1, 0.03)
_POINTS = 401
_JUDGED_AT = 0.95


@dataclass(frozen=True, slots=True)
class RefitReport:
    """`trust` is the weight of an old row against a new one. The curves are both models', on the rows held out."""

    fitted: int
    held_out: int
    trust: float | None
    before: Curve | None
    after: Curve | None


@dataclass(frozen=True, slots=True)
class Refitted:
    model: QualityModel
    report: RefitReport


@dataclass(frozen=True, slots=True)
class Refused:
    """The old model stays in force."""

    why: str
    report: RefitReport


def refit(model: QualityModel, rows: Sequence[Outcome], vectors: Array) -> Refitted | Refused:
    """The model with the new outcomes learnt, if it ranks those of them that it did not see at least as well as the old one.

    The features' scaling and the landmarks stay, so the evidence of old and new rows adds up. `vectors` are of the embedder
    that the model names, a row for each outcome; they are not looked at if it names none.
    """
    used = vectors if model.embedder else np.zeros((len(rows), 0))
    table = tabulated(rows, used)
    held = np.array([fold(digest(row), HELD_OUT, salt="held out") == 0 for row in table.rows], bool)
    new, judge = table.part(~held), table.part(held)
    nothing = RefitReport(len(new.rows), len(judge.rows), None, None, None)
    if len(rows) < FEWEST_NEW:
        return Refused(f"{len(rows)} judged outcomes are too few to learn from; {FEWEST_NEW} are the least", nothing)
    if not judge.outcomes.gain.any():
        return Refused("on the rows held out both models did equally well: nothing tells a better ranking", nothing)
    unseen = {trust: _unseen(model, new, trust) for trust in _TRUSTS}
    trust = max(_TRUSTS, key=lambda trust: recovered(measure(unseen[trust].gains, new.outcomes)))
    candidate = _learnt(model, new, trust, unseen[trust])
    before = measure(predict_all(model, judge.inputs, judge.vectors), judge.outcomes)
    after = measure(predict_all(candidate, judge.inputs, judge.vectors), judge.outcomes)
    report = RefitReport(len(new.rows), len(judge.rows), trust, before, after)
    if (why := _worse(before, after)) is not None:
        return Refused(why, report)
    return Refitted(candidate, report)


def _worse(before: Curve, after: Curve) -> str | None:
    """Why the new ranking is not better: it closes no more of the gap on average, or needs more of the strong model at 95 %."""
    if recovered(after) <= recovered(before):
        return f"on the rows held out it closes {recovered(after):.3f} of the gap, the old one {recovered(before):.3f}"
    quality = _JUDGED_AT * before.strong
    if share_at(after, quality) > share_at(before, quality):
        return (
            f"on the rows held out it needs {share_at(after, quality):.3f} at 95 %, the old one {share_at(before, quality):.3f}"
        )
    return None


def _learnt(model: QualityModel, new: Table, trust: float, unseen: Unseen) -> QualityModel:
    old, fresh = model.evidence, evidence_of(model.design, new, unseen.heads)
    evidence = Evidence(
        gram=trust * old.gram + fresh.gram,
        moment=trust * old.moment + fresh.moment,
        terms=trust * old.terms + fresh.terms,
        count=old.count + fresh.count,
        rows=hashlib.sha256(f"{model.version} {old.rows} {trust} {fresh.rows}".encode()).hexdigest(),
    )
    return versioned(
        embedder=model.embedder,
        design=model.design,
        coefficients=solved(evidence.gram, evidence.moment),
        blend=blend.fitted(evidence.terms),
        evidence=evidence,
        calibration=thinned(measure(unseen.gains, new.outcomes), _POINTS),
    )


def _unseen(model: QualityModel, new: Table, trust: float) -> Unseen:
    """Of the new rows, each predicted by the old evidence and the other new rows."""
    x = columns(model.design, new.inputs, new.vectors)
    y = targets(new.outcomes)
    folds = np.array([fold(digest(row), _FOLDS) for row in new.rows])
    heads = np.zeros(y.shape)
    for part in np.unique(folds):
        inside = folds != part
        gram = trust * model.evidence.gram + x[inside].T @ x[inside]
        moment = trust * model.evidence.moment + x[inside].T @ y[inside]
        heads[~inside] = x[~inside] @ solved(gram, moment)
    known = trust * model.evidence.terms
    return Unseen(heads, blended_apart(heads, new.outcomes, folds, learnt=heads, known=known))
