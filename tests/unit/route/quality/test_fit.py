import numpy as np
import pytest

from processors.route.gains import GainPredictor
from processors.route.quality.artifact import dumps, loads
from processors.route.quality.columns import judged
from processors.route.quality.curve import measure, recovered, share_at
from processors.route.quality.default import shipped
from processors.route.quality.fit import fit, tabulated
from processors.route.quality.model import predict, predict_all, predictor, threshold_for
from tests.unit.route.quality.made import no_vectors, outcomes

ROWS = outcomes(600, seed=1)
UNSEEN = outcomes(400, seed=2)


@pytest.fixture(scope="module")
def model():
    return fit(ROWS, no_vectors(ROWS), embedder="")


def test_on_prompts_never_seen_the_known_ranking_is_found(model):
    by = predictor(model)
    gains = np.array([predict(by, row.text) for row in UNSEEN])
    hard = np.array(["times" in row.text for row in UNSEEN])
    assert gains[hard].min() > gains[~hard].max()
    assert gains[hard].mean() == pytest.approx(0.8, abs=0.1)


def test_it_needs_far_less_than_a_random_mix(model):
    table = tabulated(UNSEEN, no_vectors(UNSEEN))
    curve = measure(predict_all(model, table.inputs, table.vectors), table.outcomes)
    assert recovered(curve) > 0.7
    assert share_at(curve, 0.95 * curve.strong) < 0.55


def test_the_knob_keeps_the_quality_on_prompts_never_seen(model):
    by, threshold = predictor(model), threshold_for(model, 0.95)
    known = judged(UNSEEN)
    strong = np.array([predict(by, row.text) >= threshold for row in UNSEEN])
    assert np.where(strong, known.strong, known.weak).mean() >= 0.9 * known.strong.mean()
    assert strong.mean() < 0.6


def test_a_higher_target_quality_never_raises_the_threshold(model):
    thresholds = [threshold_for(model, target / 100) for target in range(1, 101)]
    assert thresholds == sorted(thresholds, reverse=True)
    assert thresholds[0] > thresholds[-1]


def test_one_prompt_is_predicted_as_many_are(model):
    by, table = predictor(model), tabulated(UNSEEN, no_vectors(UNSEEN))
    one_by_one = [predict(by, row.text) for row in table.rows]
    assert one_by_one == pytest.approx(predict_all(model, table.inputs, table.vectors), abs=1e-3)


def test_routing_takes_the_predictor_as_its_own(model):
    gains: GainPredictor = predictor(model)
    text = UNSEEN[0].text
    assert gains.version == model.version
    assert gains.gain(text, None) == gains.gain(text, np.ones(256, np.float32)) == predict(predictor(model), text)
    assert gains.threshold(0.95) == threshold_for(model, 0.95)


def test_the_order_of_the_rows_does_not_matter(model):
    again = fit(ROWS[::-1], no_vectors(ROWS), embedder="")
    assert again.version == model.version


def test_another_row_makes_another_version(model):
    assert fit(ROWS[1:], no_vectors(ROWS[1:]), embedder="").version != model.version


def test_what_was_saved_comes_back(model):
    back = loads(dumps(model))
    assert back.version == model.version
    assert dumps(back) == dumps(model)
    assert [predict(predictor(back), row.text) for row in UNSEEN] == [predict(predictor(model), row.text) for row in UNSEEN]
    assert threshold_for(back, 0.95) == threshold_for(model, 0.95)


def test_no_prompt_stands_in_what_is_saved(model):
    assert not any(row.text.encode() in dumps(model) for row in ROWS)


def test_a_model_that_is_not_what_its_version_says_is_refused(model):
    object.__setattr__(other := loads(dumps(model)), "version", "0" * 16)
    with pytest.raises(ValueError, match="damaged"):
        loads(dumps(other))


def test_a_vector_that_tells_is_used_and_then_needed():
    rows = outcomes(600, seed=3)
    known = judged(rows)
    vectors = np.random.default_rng(4).standard_normal((len(rows), 16))
    vectors[:, 0] = 3 * known.gain
    fitted = fit(rows, vectors, embedder="made-up")
    assert fitted.embedder == "made-up"
    with pytest.raises(ValueError, match="needs the vector of made-up"):
        predict(predictor(fitted), "Describe it.")
    table = tabulated(rows, vectors)
    one_by_one = [
        predict(predictor(fitted), row.text, row_vector) for row, row_vector in zip(table.rows, table.vectors, strict=True)
    ]
    assert one_by_one == pytest.approx(predict_all(fitted, table.inputs, table.vectors), abs=1e-3)


def test_a_vector_that_tells_nothing_is_not_asked_for():
    vectors = np.zeros((len(ROWS), 8))
    assert fit(ROWS, vectors, embedder="made-up").embedder == ""


def test_too_few_rows_are_refused():
    with pytest.raises(ValueError, match="too few"):
        fit(ROWS[:50], no_vectors(ROWS[:50]), embedder="")


def test_the_model_that_ships_loads_and_turns_its_knob():
    model = shipped()
    assert threshold_for(model, 0.9) >= threshold_for(model, 0.95) >= threshold_for(model, 0.99)
    assert model.evidence.count > 1_000
