"""How much lies in the fullest window."""

import pytest

from bench.choices_stages.windows import fullest


@pytest.mark.parametrize(
    ("events", "most"),
    [
        pytest.param([], 0, id="nothing"),
        pytest.param([(5.0, 3)], 3, id="one event"),
        pytest.param([(0.0, 1), (59.999, 1)], 2, id="just inside"),
        pytest.param([(0.0, 1), (60.0, 1)], 1, id="a window is half open"),
        pytest.param([(0.0, 9), (61.0, 2), (100.0, 2), (120.9, 2), (121.1, 5)], 9, id="the first one is the fullest"),
        pytest.param([(0.0, 4), (30.0, 4), (61.0, 4), (89.0, 4), (89.5, 4)], 16, id="one that begins between round minutes"),
        pytest.param([(89.5, 4), (0.0, 4), (89.0, 4), (30.0, 4), (61.0, 4)], 16, id="in any order"),
    ],
)
def test_the_fullest_window(events: list[tuple[float, float]], most: float):
    assert fullest(events, 60.0) == most
