"""The bound is held where a threshold alone would break it, and whoever asks the same is served."""

import numpy as np
import pytest

from processors.cache.semantic.decide import NEW_ENTRY, NEW_SCOPE, Ask, Serve, Shift, decide, observe


def after(*comparisons: tuple[float, bool]) -> Shift:
    shift = NEW_ENTRY
    for score, right in comparisons:
        shift = observe(shift, score, right=right)
    return shift


@pytest.mark.parametrize(
    ("entry", "score", "draw", "expected"),
    [
        pytest.param(NEW_ENTRY, 2.0, 0.5, Serve(0.0), id="at the threshold a new entry serves"),
        pytest.param(NEW_ENTRY, 1.9, 0.5, Ask(compare=True), id="just below, it is compared"),
        pytest.param(NEW_ENTRY, -1.0, 0.5, Ask(compare=False), id="far below, a comparison says nothing"),
        pytest.param(NEW_ENTRY, 9.0, 0.001, Ask(compare=True, explored=True), id="a small share is asked whatever the score"),
        pytest.param(after((3.0, False)), 3.0, 0.5, Ask(compare=True), id="an entry that was wrong needs more"),
        pytest.param(after((3.0, False)), 6.0, 0.5, Serve(6.0 + after((3.0, False)).mean - 2.0), id="but may serve again"),
        pytest.param(after((1.0, True)), 1.9, 0.5, Ask(compare=True), id="one right answer is not yet a reason to lower it"),
    ],
)
def test_decisions(entry: Shift, score: float, draw: float, expected: Serve | Ask):
    assert decide(entry, NEW_SCOPE, score, threshold=2.0, draw=draw) == expected


def test_an_entry_that_was_often_right_may_serve_below_the_threshold():
    assert isinstance(decide(after(*[(0.0, True)] * 20), NEW_SCOPE, 1.5, threshold=2.0, draw=0.5), Serve)


def test_a_scope_that_does_better_than_all_lowers_no_threshold():
    good, bad = Shift(2.0, 0.01), Shift(-2.0, 0.01)
    assert decide(NEW_ENTRY, good, 1.9, threshold=2.0, draw=0.5) == Ask(compare=True)
    assert decide(NEW_ENTRY, bad, 3.9, threshold=2.0, draw=0.5) == Ask(compare=True)


def test_what_is_expected_moves_little_and_a_surprise_much():
    assert abs(after((8.0, True)).mean) < 0.01
    assert after((8.0, False)).mean < -0.9
    assert after((0.0, True)).variance < NEW_ENTRY.variance
    assert after((0.0, True)).seen == 1


def test_a_right_answer_that_is_not_proven_gives_back_what_a_wrong_one_took_and_no_more():
    wrong = after((3.0, False))
    healed = wrong
    for _ in range(50):
        healed = observe(healed, 0.0, right=True, proven=False)
    assert wrong.mean < healed.mean <= 0
    assert observe(NEW_ENTRY, 0.0, right=True, proven=False) == Shift(0.0, NEW_ENTRY.variance, 1)
    assert observe(NEW_ENTRY, 0.0, right=False, proven=False) == observe(NEW_ENTRY, 0.0, right=False)


def logistic(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def played(seed: int, *, hard: float, delta: float, learns: bool) -> tuple[float, float]:
    """(wrong, served) as shares of all queries: 200 entries, many queries each, entries unlike each other, `hard` shifts all."""
    draw = np.random.default_rng(seed)
    calibration = draw.normal(-1, 2, 20_000)
    odds = calibration + draw.normal(0, 1, len(calibration))
    wrong = np.sort(calibration[draw.random(len(odds)) > logistic(odds)])[::-1]
    threshold = float(wrong[int(0.8 * delta * len(calibration))])
    tilt = draw.normal(0, 1, 200) + hard
    entries, scope, served, mistakes = [NEW_ENTRY] * 200, NEW_SCOPE, 0, 0
    count = 8000
    for entry, score, luck, chance in zip(
        draw.integers(0, 200, count), draw.normal(-1, 2, count), draw.random(count), draw.random(count), strict=True
    ):
        right = bool(luck < logistic(score + tilt[entry]))
        answer = decide(entries[entry], scope, float(score), threshold=threshold, draw=float(chance))
        if isinstance(answer, Serve):
            served += 1
            mistakes += not right
        elif answer.compare and learns:
            entries[entry], scope = observe(entries[entry], score, right=right), observe(scope, score, right=right)
    return mistakes / count, served / count


@pytest.mark.parametrize("delta", [0.005, 0.01, 0.02, 0.05])
def test_the_bound_is_held_and_something_is_served(delta: float):
    runs = [played(seed, hard=0.0, delta=delta, learns=True) for seed in range(5)]
    assert max(wrong for wrong, _ in runs) <= delta
    assert min(served for _, served in runs) > delta


def test_where_entries_answer_worse_than_the_calibration_did_learning_keeps_the_bound():
    learnt = [played(seed, hard=-1.0, delta=0.02, learns=True)[0] for seed in range(5)]
    unlearnt = [played(seed, hard=-1.0, delta=0.02, learns=False)[0] for seed in range(5)]
    assert max(learnt) <= 0.02
    assert min(unlearnt) > 0.02
