"""Two answers beside each other: what is proven, what is judged, and what is left open."""

import pytest

from processors.cache.semantic.judge import judge
from schemas.calls import Output
from schemas.requests import ToolCall
from schemas.semantic import Agreement
from streams.embedding.wordllama import WordLlama
from tests.unit.cache.semantic.answers import ALIKE, DIFFERENT

EMBEDDER = WordLlama()
LONG = "Take the train from the main station, change once, and walk along the river. " * 5


def said(one: str, other: str) -> Agreement | None:
    forth, back = (judge(Output(a), Output(b), EMBEDDER) for a, b in ((one, other), (other, one)))
    assert forth is back, "the order of the two does not matter"
    return forth


def calling(*calls: tuple[str, str], content: str | None = None) -> Output:
    return Output(content, tool_calls=tuple(ToolCall(str(at), name, text) for at, (name, text) in enumerate(calls)))


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        pytest.param("Paris", " paris. ", Agreement.SAME, id="case of the first letter, spaces, the mark at the end"),
        pytest.param("line one\nline two", "line one\nline two\n", Agreement.SAME, id="lines"),
        pytest.param('{"a": 1, "b": [2]}', '{"b":[2],"a":1}', Agreement.SAME, id="JSON"),
        pytest.param('{"a": 1}', '{"a": true}', Agreement.DIFFERENT, id="JSON of another type"),
        pytest.param('{"a": 1}', "It is 1", Agreement.DIFFERENT, id="JSON and none"),
        pytest.param("CO is a gas", "Co is a gas", None, id="case inside is no proof"),
        pytest.param("x² + 1 = 5", "x2 + 1 = 5", Agreement.ALIKE, id="a power is no proof of a digit"),
        pytest.param("42", "43", Agreement.DIFFERENT, id="numbers"),
        pytest.param("Yes", "No", Agreement.DIFFERENT, id="yes and no"),
        pytest.param("Paris", "Berlin", Agreement.DIFFERENT, id="a word each"),
        pytest.param("Paris", "The capital of France is Paris.", None, id="one stands in the other"),
        pytest.param("Bob lent Alice money.", "Alice lent Bob money.", None, id="who lent whom"),
        pytest.param(LONG, LONG + "It takes 20 minutes.", Agreement.DIFFERENT, id="a number more, in a long answer"),
        pytest.param(LONG, LONG + "And enjoy it.", Agreement.ALIKE, id="a word more, in a long answer"),
        pytest.param("a" * 30_000, "b" * 30_000, None, id="too long to look at"),
        pytest.param("", "Paris", None, id="nothing said"),
    ],
)
def test_two_answers(one: str, other: str, expected: Agreement | None):
    assert said(one, other) is expected


def test_calls_of_tools_are_equal_as_values_in_their_order():
    one, spaced = calling(("pay", '{"to":"bob","euro":5}')), calling(("pay", '{"euro": 5, "to": "bob"}'))
    assert judge(one, spaced, EMBEDDER) is Agreement.SAME
    assert judge(one, calling(("pay", '{"to":"bob","euro":6}')), EMBEDDER) is Agreement.DIFFERENT
    assert judge(one, calling(("ask", '{"to":"bob","euro":5}')), EMBEDDER) is Agreement.DIFFERENT
    assert judge(one, Output("I pay 5 euro to bob."), EMBEDDER) is Agreement.DIFFERENT


def test_no_right_answer_is_called_different_and_no_wrong_one_alike():
    assert {said(one, other) for one, other in ALIKE} <= {Agreement.ALIKE, None}
    assert {said(one, other) for one, other in DIFFERENT} <= {Agreement.DIFFERENT, None}


def test_wrong_answers_are_recognised_at_least_as_often_as_right_ones():
    """Else what is learnt would be more of what went well than of what went wrong."""
    right = sum(said(one, other) is Agreement.ALIKE for one, other in ALIKE) / len(ALIKE)
    wrong = sum(said(one, other) is Agreement.DIFFERENT for one, other in DIFFERENT) / len(DIFFERENT)
    assert wrong >= right > 0.5
