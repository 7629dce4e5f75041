"""From what is expected of either model to the gain."""

import numpy as np
import pytest

from processors.route.quality.blend import blended, blended_one, fitted, sums


def hump(count: int, *, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Heads whose target says nothing, and gains that are greatest where the weak model is right half the time."""
    draw = np.random.default_rng(seed)
    weak = draw.random(count)
    heads = np.column_stack([np.zeros(count), weak, weak])
    return heads, (draw.random(count) < 2 * weak * (1 - weak)).astype(float)


def test_neither_the_easy_nor_the_hopeless_gains():
    weights = fitted(sums(*hump(20_000, seed=1)))
    easy, between, hopeless = blended(weights, np.array([[0, 0.95, 0.95], [0, 0.5, 0.5], [0, 0.05, 0.05]]))
    assert between == pytest.approx(0.5, abs=0.03)
    assert easy < 0.2 > hopeless


def test_one_prompt_is_blended_as_many_are():
    heads = np.random.default_rng(2).normal(0.5, 0.3, (50, 3))
    weights = np.random.default_rng(3).normal(size=10)
    assert [blended_one(tuple(weights), *row) for row in heads.tolist()] == pytest.approx(blended(weights, heads))


def test_heads_that_tell_nothing_leave_the_mean_gain():
    gains = np.array([1.0, 0.0, 0.0, 0.0] * 50)
    weights = fitted(sums(np.full((200, 3), 0.7), gains))
    assert blended(weights, np.array([[0.7, 0.7, 0.7], [0.1, 0.9, 0.2]])) == pytest.approx([0.25, 0.25])


def test_sums_of_parts_are_the_sums_of_all():
    heads, gains = hump(400, seed=4)
    parts = sums(heads[:150], gains[:150]) + sums(heads[150:], gains[150:])
    assert fitted(parts) == pytest.approx(fitted(sums(heads, gains)))


def test_old_rows_of_little_weight_give_way():
    old, new = hump(2_000, seed=5), hump(2_000, seed=6)
    learnt = fitted(0.01 * sums(old[0], -old[1]) + sums(*new))
    middle = np.array([[0, 0.5, 0.5]])
    assert blended(learnt, middle) == pytest.approx(blended(fitted(sums(*new)), middle), abs=0.05)
