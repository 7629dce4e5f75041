"""The simulated model: same request, same answer; sizes as asked; JSON that fits."""

import time
from typing import Any

import orjson
import pytest

from streams.simulator.answers import Finish, answer
from streams.simulator.ask import Ask, Tool
from streams.simulator.embedding import embedding
from streams.simulator.json_instance import BadSchema, instance
from streams.simulator.sizes import NATURAL, BadSizes, Sizes, asked, of_marker
from streams.simulator.text import WORDS, text_of
from streams.simulator.tokens import count


@pytest.mark.parametrize("tokens", [0, 1, 2, 17, 500, 100_000])
@pytest.mark.parametrize("seed", [0, 3, 2**63])
def test_a_text_has_exactly_the_tokens_that_were_asked_for(tokens: int, seed: int) -> None:
    assert count(text_of(tokens, seed=seed)) == tokens


def test_the_corpus_is_made_of_words_of_three_bytes_some_of_them_one_character() -> None:
    assert {len(word.encode()) for word in WORDS} == {3}
    assert any(len(word) == 1 for word in WORDS)


@pytest.mark.parametrize(
    ("text", "sizes"),
    [
        ("[[sim in=4808 out=10]]", Sizes(4808, 10)),
        ("  [[sim out=10]] and the rest of the message", Sizes(None, 10)),
        ("[[sim in=12307 cache_write=12304 out=550]]", Sizes(12307, 550, 0, 12304)),
        ("[[sim fault=http_429:date+30 out=1]]", Sizes(None, 1, fault="http_429:date+30")),
        ("see [[sim in=1]]", None),
        ("[[sim]]", None),
        ("", None),
    ],
)
def test_marker(text: str, sizes: Sizes | None) -> None:
    assert of_marker(text) == sizes


@pytest.mark.parametrize(
    "text",
    ["[[sim in=-1]]", "[[sim in=1e3]]", "[[sim in=99999999]]", "[[sim inn=1]]", "[[sim in=1 cache_read=2]]", "[[sim in=²]]"],
)
def test_a_marker_that_cannot_be_is_refused(text: str) -> None:
    with pytest.raises(BadSizes):
        of_marker(text)


def test_headers_go_before_metadata_and_metadata_before_the_marker() -> None:
    headers = {"x-sim-input-tokens": "1", "x-sim-output-tokens": "2"}
    metadata = {"sim_input_tokens": "3", "sim_output_tokens": "4", "other": "x"}
    marker = "[[sim in=5 out=6]]"
    assert asked(headers, metadata, marker) == Sizes(1, 2)
    assert asked({}, metadata, marker) == Sizes(3, 4)
    assert asked({}, {"user_id": "u"}, marker) == Sizes(5, 6)
    assert asked({}, None, "hello") == NATURAL


def test_natural_answers_differ_in_size_and_stay_in_bounds() -> None:
    sizes = {answer(Ask("m", 1, seed=seed)).usage.output_tokens for seed in range(500)}
    assert min(sizes) >= 16
    assert max(sizes) <= 128
    assert len(sizes) > 90


def test_a_limit_cuts_a_natural_answer_but_not_an_asked_size() -> None:
    cut = answer(Ask("m", 1, max_output_tokens=5))
    assert (cut.usage.output_tokens, count(cut.text), cut.finish) == (5, 5, Finish.LENGTH)
    asked_for = answer(Ask("m", 1, max_output_tokens=5, sizes=Sizes(7, 9)))
    assert (asked_for.usage.input_tokens, asked_for.usage.output_tokens, asked_for.finish) == (7, 9, Finish.STOP)


def test_a_tool_call_carries_arguments_that_fit_its_schema() -> None:
    schema = {"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 3}}}
    found = answer(Ask("m", 1, tool=Tool("weather", schema)))
    assert found.finish is Finish.TOOL
    assert found.tool is not None
    arguments = orjson.loads(found.tool.arguments)
    assert isinstance(arguments["city"], str)
    assert arguments["days"] >= 3


@pytest.mark.parametrize(
    ("schema", "fits"),
    [
        ({"type": "string", "minLength": 40}, lambda v: len(v) >= 40),
        ({"type": "string", "maxLength": 2}, lambda v: len(v) <= 2),
        ({"type": "string", "format": "date"}, lambda v: v == "2025-01-01"),
        ({"type": ["null", "integer"], "minimum": 5, "maximum": 5}, lambda v: v == 5),
        ({"type": "number", "maximum": -4}, lambda v: isinstance(v, float) and v <= -4),
        ({"type": "array", "items": {"type": "boolean"}, "minItems": 3}, lambda v: v == [True] * 3),
        ({"type": "array", "prefixItems": [{"const": 1}, {"const": "b"}]}, lambda v: v == [1, "b"]),
        ({"type": "OBJECT", "properties": {"a": {"type": "STRING"}}}, lambda v: isinstance(v["a"], str)),
        ({"anyOf": [{"const": "x"}, {"type": "null"}]}, lambda v: v == "x"),
        ({"allOf": [{"properties": {"a": {"const": 1}}}, {"properties": {"b": {"const": 2}}}]}, lambda v: v == {"a": 1, "b": 2}),
        ({"$ref": "#/$defs/n", "$defs": {"n": {"enum": ["only"]}}}, lambda v: v == "only"),
        ("not a schema", lambda v: v == {}),
    ],
)
def test_json_instance(schema: Any, fits: Any) -> None:
    assert fits(instance(schema, seed=11))


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {"left": {"$ref": "#"}, "right": {"type": "array", "items": {"$ref": "#"}}}},
        {"properties": {name: {"$ref": "#"} for name in "abcdefgh"}},
        {"allOf": [{"$ref": "#"}] * 8},
        {"anyOf": [{"$ref": "#"}]},
        {"$ref": "#"},
        {"type": "array", "minItems": 10**9, "items": {"type": "array", "minItems": 10**9}},
        {"type": "string", "minLength": 10**12},
    ],
)
def test_a_schema_without_end_ends(schema: Any) -> None:
    started_s = time.process_time()
    assert len(orjson.dumps(instance(schema, seed=1))) < 5_000_000
    assert time.process_time() - started_s < 2


@pytest.mark.parametrize("schema", [{"type": "integer", "minimum": "x"}, {"enum": 7}, {"properties": [1]}, {"anyOf": {"a": 1}}])
def test_a_schema_that_is_none_is_refused(schema: Any) -> None:
    with pytest.raises(BadSchema):
        instance(schema, seed=1)


def test_embeddings_are_unit_vectors_and_near_for_texts_that_share_words() -> None:
    def near(a: str, b: str) -> float:
        return sum(x * y for x, y in zip(embedding(a, 256), embedding(b, 256), strict=True))

    assert near("the cat sat", "the cat sat") == pytest.approx(1.0)
    assert near("reset my password", "how do I reset the password") > near("reset my password", "quarterly tax law")
    assert near("", "") == pytest.approx(1.0)
