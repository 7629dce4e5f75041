"""The quick look-up of signs finds what the slow one, which training uses, finds."""

import pytest

from bench.classify.corpus import examples
from processors.classify.head import shipped
from processors.classify.signs import Places, signs_of, words_of

SIGNS = ["^sum", "^sum it", "0", ".", "it up", "sum", "up"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        pytest.param("", [], id="empty"),
        pytest.param("sum", ["^sum", "sum"], id="one-word"),
        pytest.param("sum it", ["^sum", "^sum it", "sum"], id="two-words"),
        pytest.param("Sum it up: 17", ["^sum", "^sum it", "0", ".", "it up", "sum", "up"], id="all"),
        pytest.param("it", [], id="unknown"),
        pytest.param("so sum it", ["sum"], id="not-opening"),
    ],
)
def test_known_signs_are_found_in_order(text, found):
    assert [SIGNS[place] for place in Places.of_signs(SIGNS).of(words_of(text))] == found


def test_the_quick_look_up_finds_what_the_slow_one_finds():
    places = shipped().places
    for example in examples()[::9]:
        words = words_of(example.text)
        known = {sign: place for sign in signs_of(words) if (place := place_of(places, sign)) is not None}
        assert places.of(words) == sorted(known.values()), example.text


def place_of(places: Places, sign: str) -> int | None:
    one, between, next_ = sign.partition(" ")
    return places.pairs.get(one, {}).get(next_) if between else places.single.get(one)
