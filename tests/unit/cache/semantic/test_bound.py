import pytest

from processors.cache.semantic.bound import allowed_wrong


@pytest.mark.parametrize(
    ("queries", "delta", "allowed"),
    [
        pytest.param(459, 0.01, 0, id="the first count at which no wrong answer rules out one in a hundred"),
        pytest.param(458, 0.01, -1, id="one query fewer rules out nothing"),
        pytest.param(20_000, 0.01, 167, id="a margin of a sixth at twenty thousand"),
        pytest.param(1_000_000, 0.01, 9_768, id="a small margin at a million"),
    ],
)
def test_the_more_queries_the_smaller_the_margin(queries: int, delta: float, allowed: int):
    assert allowed_wrong(queries, delta, confidence=0.99) == allowed


def test_more_confidence_allows_less():
    assert allowed_wrong(5000, 0.02, confidence=0.999) < allowed_wrong(5000, 0.02, confidence=0.9) < 100


@pytest.mark.parametrize("delta", [0.0, 1.0, -1.0])
def test_a_bound_is_a_share(delta: float):
    with pytest.raises(ValueError, match="between 0 and 1"):
        allowed_wrong(100, delta, confidence=0.99)
