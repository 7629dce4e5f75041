"""Bodies and headers of the native interface."""

from datetime import UTC, datetime, timedelta

import pytest

from processors.api.bad_request import BadRequest
from streams.edge.native_request import request_of, wait_s, with_deadline

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
BODY = {"messages": [{"role": "user", "content": "Hi"}]}


def test_a_body_has_the_fields_of_the_record() -> None:
    request = request_of(
        {**BODY, "stream": True, "tools": [{"type": "function"}], "cache": {"mode": "off"}}, request_id="r", tenant="t"
    )
    assert (request.request_id, request.tenant, request.model) == ("r", "t", "auto")
    assert request.messages[0].content == "Hi"
    assert request.stream
    assert request.tools_json == '[{"type":"function"}]'
    assert request.cache.mode == "off"


@pytest.mark.parametrize(
    ("more", "field"),
    [({"tenant": "t"}, "tenant"), ({"request_id": "r"}, "request_id"), ({"deadline": "2026-01-31T12:00:00"}, "deadline")],
)
def test_what_no_body_says(more: dict, field: str) -> None:
    with pytest.raises(BadRequest) as bad:
        request_of({**BODY, **more}, request_id="r", tenant="t")
    assert bad.value.parameter == field


def test_a_deadline_is_a_patience() -> None:
    assert with_deadline({"a": "b"}, None, NOW) == {"a": "b"}
    assert with_deadline({"a": "b"}, NOW + timedelta(seconds=1.5), NOW) == {"a": "b", "x-penstock-timeout": "1.500"}
    with pytest.raises(BadRequest):
        with_deadline({}, NOW, NOW)


@pytest.mark.parametrize(
    ("prefer", "expected"),
    [
        ("wait=3", 3),
        ("Wait = 3", 3),
        ("respond-async;wait=0", 0),
        ('wait="4"', 4),
        ("await=3", None),
        ("wait=x", None),
        ("", None),
    ],
)
def test_prefer(prefer: str, expected: float | None) -> None:
    assert wait_s({"prefer": prefer}) == expected
