import math

import pytest

from processors.route.quality import features

QUESTION = "Which of these is NOT a prime number?\nA. 2\nB. 4\nC. 7\nD. 11\nAnswer:"


def named(text: str) -> dict[str, float]:
    return dict(zip(features.NAMES, features.of(text), strict=True))


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        pytest.param(QUESTION, "options", 1.0, id="answer options are seen"),
        pytest.param(QUESTION, "shouted", 1.0, id="a shouted negation"),
        pytest.param(QUESTION, "option_wordless", 1.0, id="options without a word"),
        pytest.param(QUESTION, "question", 1.0, id="the stem ends with a question mark, whatever follows it"),
        pytest.param("Say hello", "options", 0.0, id="no options"),
        pytest.param("a. b. c", "options", 0.0, id="letters within a line are no options"),
        pytest.param("It costs $3 and $4.50", "dollars", math.log1p(2), id="dollars"),
        pytest.param("It costs $3 and $4.50", "decimals", math.log1p(1), id="decimals"),
        pytest.param("1,000 and 2", "numbers", math.log1p(2), id="a number with a comma is one"),
        pytest.param("Fill in the ____ here", "blank", 1.0, id="a blank to fill in"),
        pytest.param("def f(): return 1", "code", 1.0, id="code"),
        pytest.param("not never no", "negation", 3 / math.sqrt(3), id="negations count over the root of the words"),
        pytest.param("x\nA. all of the above things\nB. none of the above", "option_others", 1.0, id="none of the above"),
    ],
)
def test_a_feature_says_what_stands_in_the_text(text, name, value):
    assert named(text)[name] == pytest.approx(value)


@pytest.mark.parametrize(
    "text", ["", " ", "\n", "\nA. \nB. ", "?", "Answer:", "\ud800", "\0", "٣ 円", "A" * 100_000, "\nA. " * 9_999]
)
def test_any_text_has_as_many_finite_numbers_as_names(text):
    numbers = features.of(text)
    assert len(numbers) == len(features.NAMES)
    assert all(math.isfinite(number) for number in numbers)


def test_names_are_distinct():
    assert len(set(features.NAMES)) == len(features.NAMES)


def test_the_middle_of_a_long_text_is_not_read():
    head, tail = "h " * features.HEAD_CHARS, "t " * features.TAIL_CHARS
    assert features.of(f"{head}{'not 1 ' * 500}{tail}") == features.of(f"{head}{'so A= ' * 500}{tail}")
