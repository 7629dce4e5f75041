import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processors.route.quality.columns import Judged
from processors.route.quality.curve import measure, random_share, recovered, share_at, thinned, threshold_at

WEAK, STRONG = np.array([0.0, 1.0, 0.0, 1.0]), np.array([1.0, 1.0, 1.0, 0.0])


def test_the_best_ranking_sends_what_gains_first():
    curve = measure(np.array([1.0, 0.0, 0.9, -1.0]), Judged(WEAK, STRONG))
    assert curve.shares.tolist() == [0, 0.25, 0.5, 0.75, 1]
    assert curve.qualities.tolist() == [0.5, 0.75, 1.0, 1.0, 0.75]
    assert (curve.weak, curve.strong) == (0.5, 0.75)


def test_prompts_of_equal_gain_go_together():
    curve = measure(np.array([0.5, 0.5, 0.5, 0.1]), Judged(WEAK, STRONG))
    assert curve.shares.tolist() == [0, 0.75, 1]


def test_the_share_lies_on_the_line_between_two_points():
    curve = measure(np.array([0.5, 0.5, 0.5, 0.1]), Judged(WEAK, STRONG))
    assert share_at(curve, 0.75) == pytest.approx(0.375)
    assert share_at(curve, 0.4) == 0
    assert share_at(curve, 1.01) == 1


def test_one_gain_for_all_is_the_random_mix():
    curve = measure(np.zeros(4), Judged(WEAK, STRONG))
    assert recovered(curve) == pytest.approx(0.5)
    assert share_at(curve, 0.6) == pytest.approx(random_share(curve, 0.6))


def test_models_of_equal_quality_leave_no_gap_to_close():
    curve = measure(np.arange(4.0), Judged(WEAK, WEAK))
    assert recovered(curve) == 0.5
    assert threshold_at(curve, 1.0) == np.inf


@pytest.mark.parametrize("target", [0.0, -1.0, 1.01, float("nan")])
def test_a_target_that_is_no_share_of_the_quality_is_refused(target):
    with pytest.raises(ValueError, match="share of the strong model's quality"):
        threshold_at(measure(np.zeros(4), Judged(WEAK, STRONG)), target)


rows = st.lists(st.tuples(st.floats(-1, 1), st.sampled_from([0.0, 1.0]), st.sampled_from([0.0, 1.0])), min_size=1, max_size=60)


@settings(deadline=None)
@given(rows, st.lists(st.floats(0.01, 1), min_size=2, max_size=8))
def test_a_higher_target_never_sends_fewer_to_the_strong_model(given_rows, targets):
    gains, weak, strong = (np.array(column) for column in zip(*given_rows, strict=True))
    curve = measure(gains, Judged(weak, strong))
    sent = [int((gains >= threshold_at(curve, target)).sum()) for target in sorted(targets)]
    assert sent == sorted(sent)


@settings(deadline=None)
@given(rows, st.floats(0.01, 1))
def test_the_threshold_keeps_the_target_on_the_rows_it_was_measured_on(given_rows, target):
    gains, weak, strong = (np.array(column) for column in zip(*given_rows, strict=True))
    mixed = np.where(gains >= threshold_at(measure(gains, Judged(weak, strong)), target), strong, weak)
    assert mixed.mean() >= target * strong.mean() - 1e-9


@settings(deadline=None)
@given(rows)
def test_a_thinned_curve_keeps_both_ends(given_rows):
    gains, weak, strong = (np.array(column) for column in zip(*given_rows, strict=True))
    curve = measure(gains, Judged(weak, strong))
    few = thinned(curve, 5)
    assert (few.weak, few.strong) == (curve.weak, curve.strong)
    assert len(few.shares) <= 5
