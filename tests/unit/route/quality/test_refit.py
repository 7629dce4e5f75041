from dataclasses import replace

import pytest

from processors.route.quality.artifact import dumps, loads
from processors.route.quality.curve import recovered
from processors.route.quality.fit import fit
from processors.route.quality.model import predict, predictor
from processors.route.quality.outcomes import digest, fold
from processors.route.quality.refit import HELD_OUT, Refitted, Refused, refit
from tests.unit.route.quality.made import no_vectors, outcomes

ROWS = outcomes(600, seed=1)
CHANGED = outcomes(600, seed=5, better_on_numbers=False)


@pytest.fixture(scope="module")
def model():
    return fit(ROWS, no_vectors(ROWS), embedder="")


def test_models_that_changed_are_learnt_anew(model):
    answer = refit(model, CHANGED, no_vectors(CHANGED))
    assert isinstance(answer, Refitted)
    assert answer.model.version != model.version
    assert recovered(answer.report.after) > recovered(answer.report.before)
    by = predictor(answer.model)
    assert predict(by, "Describe the river stone cloud.") > predict(by, "7 What is 12 times 45 of the river stone?")


def test_it_learns_on_from_a_model_that_was_loaded_as_from_the_one_that_was_saved(model):
    here, there = refit(model, CHANGED, no_vectors(CHANGED)), refit(loads(dumps(model)), CHANGED, no_vectors(CHANGED))
    assert here.model.version == there.model.version


def test_the_same_outcomes_in_another_order_make_the_same_version(model):
    here, there = refit(model, CHANGED, no_vectors(CHANGED)), refit(model, CHANGED[::-1], no_vectors(CHANGED))
    assert here.model.version == there.model.version


def test_a_refit_that_ranks_worse_on_the_rows_held_out_is_refused(model):
    poisoned = _poisoned()
    answer = refit(model, poisoned, no_vectors(poisoned))
    assert isinstance(answer, Refused)
    assert "rows held out" in answer.why
    assert recovered(answer.report.after) <= recovered(answer.report.before)


def _poisoned():
    """The rows that are fitted say the contrary of those that judge."""
    honest = [row for row in outcomes(1_200, seed=8) if fold(digest(row), HELD_OUT, salt="held out") == 0]
    lies = [row for row in CHANGED if fold(digest(row), HELD_OUT, salt="held out") != 0]
    return honest + lies


def test_too_few_outcomes_are_refused(model):
    answer = refit(model, CHANGED[:20], no_vectors(CHANGED[:20]))
    assert isinstance(answer, Refused)
    assert "too few" in answer.why


def test_outcomes_without_any_difference_are_refused(model):
    same = [replace(row, weak=1.0, strong=1.0) for row in CHANGED]
    answer = refit(model, same, no_vectors(same))
    assert isinstance(answer, Refused)
    assert "equally well" in answer.why
