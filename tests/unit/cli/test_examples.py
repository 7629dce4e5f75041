from collections import Counter
from pathlib import Path

import pytest

from processors.cache import key
from processors.classify import validate
from schemas.requests import InferenceRequest, Operation
from streams.cli.formats import Defaults, Format, Parser

EXAMPLES = Path(__file__).parents[3] / "examples" / "requests.jsonl"


@pytest.fixture(scope="module")
def requests():
    parser = Parser(Format.AUTO, Defaults("x", "default", "auto"))
    found = [parsed.request for line in EXAMPLES.read_bytes().splitlines() if (parsed := parser.line(line))]
    assert all(isinstance(request, InferenceRequest) for request in found)
    return found


def test_every_example_is_a_valid_request(requests):
    assert [problem for request in requests if (problem := validate.problems(request))] == []


def test_the_examples_are_varied(requests):
    assert 50 <= len(requests) <= 80
    assert {r.operation for r in requests} == {
        Operation.CHAT, Operation.TEXT_COMPLETION, Operation.EMBEDDINGS, Operation.CLASSIFICATION
    }  # fmt: skip
    assert len({r.tenant for r in requests}) >= 4
    assert len({r.user for r in requests}) >= 8
    assert sum(len(r.messages) > 2 for r in requests) >= 4
    assert any(r.tools_json for r in requests)
    assert any(r.response_format_json for r in requests)
    assert any(r.stream for r in requests)
    assert any(r.preferences.provider for r in requests)


def test_some_repeat_an_earlier_one_and_come_late(requests):
    keys = [key.identify(request).cache_key for request in requests]
    repeated = {k for k, count in Counter(keys).items() if count > 1}
    assert len(repeated) >= 3
    for k in repeated:
        first, *later = [index for index, each in enumerate(keys) if each == k]
        assert min(later) - first >= 20
