"""A request from plain fields: what a program may write, and what it is told about what it may not."""

import re
from datetime import UTC, datetime
from functools import reduce

import pytest

from schemas.errors import MalformedRecord
from schemas.requests import CacheMode, CachePolicy, InferenceRequest, Message, Operation, Sampling, ToolCall
from streams.client.penstock import Penstock
from streams.client.request_fields import request_of
from streams.ids import made_at_s

NESTED: list = reduce(lambda inner, _: [inner], range(5_000), [])


def of(**fields: object) -> InferenceRequest:
    return request_of(fields, request_id="r", tenant="acme")


def test_the_least_that_is_a_request() -> None:
    assert of(messages=[{"role": "user", "content": "Hi"}]) == InferenceRequest(
        "r", "acme", "auto", messages=(Message("user", "Hi"),)
    )


def test_parts_may_be_mappings_records_and_json() -> None:
    found = of(
        request_id="mine",
        tenant="birch",
        model="openai/gpt-6-luna",
        operation="chat",
        messages=[
            Message("user", "Hi"),
            {"role": "assistant", "tool_calls": [{"id": "1", "name": "f", "arguments": {"x": 1}}]},
        ],
        sampling={"max_output_tokens": 5},
        cache=CachePolicy(CacheMode.OFF),
        tools=[{"type": "function"}],
        deadline="2026-01-31T15:00:00Z",
    )
    assert (found.request_id, found.tenant, found.model) == ("mine", "birch", "openai/gpt-6-luna")
    assert found.operation is Operation.CHAT
    assert found.messages[1].tool_calls == (ToolCall("1", "f", '{"x":1}'),)
    assert found.sampling == Sampling(max_output_tokens=5)
    assert found.cache.mode is CacheMode.OFF
    assert found.tools_json == '[{"type":"function"}]'
    assert found.deadline == datetime(2026, 1, 31, 15, tzinfo=UTC)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"message": []}, "there is no field `message`; the fields are request_id, tenant, "),
        ({"messages": [{"role": "user", "text": "Hi"}]}, "there is no field `messages.text`; the fields are role, "),
        ({"sampling": {"max_tokens": 5}}, "there is no field `sampling.max_tokens`"),
        ({"messages": "Hi"}, "messages: "),
        ({"messages": NESTED}, "messages.0: "),
        ({"operation": "sing"}, "operation: "),
        ({"tenant": ""}, "InferenceRequest.tenant must not be empty"),
        ({"request_id": ""}, "InferenceRequest.request_id must not be empty"),
        ({"deadline": datetime(2026, 1, 31)}, "offset from UTC"),  # noqa: DTZ001 - that is the point
    ],
)
def test_what_cannot_be_is_named(fields: dict, says: str) -> None:
    with pytest.raises(MalformedRecord, match=re.escape(says)):
        of(**fields)


def test_a_record_takes_fields_on_top_and_is_checked_too() -> None:
    request = InferenceRequest("r", "acme", "auto")
    client = Penstock()
    assert client._request(request, {"model": "m"}).model == "m"
    with pytest.raises(MalformedRecord, match="tenant"):
        client._request(InferenceRequest("r", "", "auto"), {})


def test_new_ids_are_of_the_make_that_the_edge_finds() -> None:
    ids = {Penstock()._request(None, {}).request_id for _ in range(100)}
    assert len(ids) == 100
    assert all(1_700_000_000 < (made_at_s(request_id) or 0) < 5_000_000_000 for request_id in ids)
