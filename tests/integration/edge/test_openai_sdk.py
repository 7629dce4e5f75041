"""The official `openai` SDK against the running stack, its own strict types switched on."""

import json
import time
import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest
from pydantic import BaseModel

from tests.integration.edge.conftest import Edge

pytestmark = [pytest.mark.stack, pytest.mark.timeout(240)]

WEATHER = {
    "name": "weather",
    "description": "The weather in a city.",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    },
    "strict": True,
}
TOOL: Any = {"type": "function", "function": WEATHER}


class River(BaseModel):
    name: str
    length_km: int


@pytest.fixture(scope="module")
def client(edge: Edge) -> Iterator[openai.OpenAI]:
    with client_of(edge, edge.key("acme")) as made:
        yield made


def client_of(edge: Edge, key: str, **options: Any) -> openai.OpenAI:
    given: dict[str, Any] = {"max_retries": 0, "timeout": 60.0, "_strict_response_validation": True, **options}
    return openai.OpenAI(base_url=f"{edge.url}/v1", api_key=key, **given)


def asking(text: str = "Name a river.", marker: str = "") -> Any:
    """A conversation that was not asked before, so that no cache answers it."""
    return [{"role": "user", "content": f"{marker} {text} {uuid.uuid4()}".strip()}]


def test_a_chat_tells_its_usage_and_what_it_cost(client: openai.OpenAI) -> None:
    raw = client.chat.completions.with_raw_response.create(model="auto", messages=asking())
    answer = raw.parse()
    assert answer.choices[0].message.content
    assert answer.usage is not None
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens > 0
    assert answer._request_id == answer.id == raw.headers["x-request-id"]
    assert int(raw.headers["x-penstock-cost-nanousd"]) > 0
    assert raw.headers["x-penstock-cache"] == "miss"
    assert raw.headers["x-penstock-attempts"] == "1"


def test_the_same_chat_again_is_a_hit_that_costs_nothing(client: openai.OpenAI) -> None:
    messages = asking()
    give_up = time.monotonic() + 60
    while True:
        raw = client.chat.completions.with_raw_response.create(model="auto", messages=messages, temperature=0)
        if raw.headers["x-penstock-cache"] == "hit":
            break
        assert time.monotonic() < give_up, "the cache never answers"
    assert raw.headers["x-penstock-cost-nanousd"] == "0"


def test_a_named_tool_and_a_required_one_are_called_and_answered(client: openai.OpenAI) -> None:
    choices: tuple[Any, ...] = ({"type": "function", "function": {"name": "weather"}}, "required")
    for choice in choices:
        messages = asking("Weather in Ulm?")
        answer = client.chat.completions.create(model="auto", messages=messages, tools=[TOOL], tool_choice=choice)
        (call,) = answer.choices[0].message.tool_calls or ()
        assert answer.choices[0].finish_reason == "tool_calls"
        assert call.type == "function"
        assert set(json.loads(call.function.arguments)) == {"city"}
    told = [*messages, answer.choices[0].message, {"role": "tool", "tool_call_id": call.id, "content": "Rain"}]
    assert client.chat.completions.create(model="auto", messages=told, tools=[TOOL]).choices[0].message.content


def test_json_mode_and_a_schema(client: openai.OpenAI) -> None:
    wanted: Any = {"type": "json_object"}
    # Anthropic has no such mode, and its deployments get no such request.
    free = client.chat.completions.create(model="auto", messages=asking("Answer in JSON."), response_format=wanted)
    assert isinstance(json.loads(free.choices[0].message.content or ""), dict)
    parsed = client.chat.completions.parse(model="auto", messages=asking(), response_format=River)
    assert isinstance(parsed.choices[0].message.parsed, River)


def test_a_stream_is_the_answer_with_its_usage(client: openai.OpenAI) -> None:
    asked: dict[str, Any] = {"model": "auto", "messages": asking(marker="[[sim in=20 out=40]]")}
    chunks = list(client.chat.completions.create(**asked, stream=True, stream_options={"include_usage": True}))
    assert chunks[0].choices[0].delta.role == "assistant"
    assert len([c for c in chunks if c.choices and c.choices[0].delta.content]) > 1
    assert [c.choices[0].finish_reason for c in chunks if c.choices and c.choices[0].finish_reason] == ["stop"]
    usage = chunks[-1].usage
    assert usage is not None
    assert (usage.prompt_tokens, usage.completion_tokens) == (20, 40)


def test_the_stream_helper_puts_text_and_tools_together(client: openai.OpenAI) -> None:
    with client.chat.completions.stream(model="auto", messages=asking()) as stream:
        said = "".join(event.delta for event in stream if event.type == "content.delta")
        assert stream.get_final_completion().choices[0].message.content == said != ""
    with client.chat.completions.stream(model="auto", messages=asking(), tools=[TOOL], tool_choice="required") as stream:
        stream.until_done()
        (call,) = stream.get_final_completion().choices[0].message.tool_calls or ()
    assert isinstance(call.function.parsed_arguments, dict)


@pytest.fixture(scope="module")
def lenient(edge: Edge) -> Iterator[openai.OpenAI]:
    """For what OpenAI sends and the types of its SDK do not allow: unfinished pieces of a completion, packed vectors."""
    with client_of(edge, edge.key("acme"), _strict_response_validation=False) as made:
        yield made


def test_text_completions_whole_and_streamed(client: openai.OpenAI, lenient: openai.OpenAI) -> None:
    whole = client.completions.create(model="auto", prompt=f"A river is {uuid.uuid4()}", max_tokens=12)
    assert whole.choices[0].text
    pieces = list(lenient.completions.create(model="auto", prompt=f"A river is {uuid.uuid4()}", max_tokens=12, stream=True))
    assert "".join(piece.choices[0].text for piece in pieces)


def test_embeddings(client: openai.OpenAI, lenient: openai.OpenAI) -> None:
    texts = [f"river {uuid.uuid4()}", f"lake {uuid.uuid4()}"]
    packed = lenient.embeddings.create(model="text-embedding-3-small", input=texts)
    plain = client.embeddings.create(model="text-embedding-3-small", input=texts, encoding_format="float")
    assert [each.index for each in packed.data] == [0, 1]
    assert packed.data[1].embedding == pytest.approx(plain.data[1].embedding, abs=1e-6)
    assert packed.usage.prompt_tokens > 0


def test_models(client: openai.OpenAI) -> None:
    names = [model.id for model in client.models.list()]
    assert "auto" in names
    assert client.models.retrieve(names[-1]).id == names[-1]
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("no-such-model")


def test_responses_whole_with_tools_and_with_a_schema(client: openai.OpenAI) -> None:
    whole = client.responses.create(model="auto", instructions="Be brief.", input=f"Name a river. {uuid.uuid4()}")
    assert (whole.status, whole.instructions) == ("completed", "Be brief.")
    assert whole.output_text
    tool: Any = {"type": "function", **WEATHER}
    items: Any = asking("Weather in Ulm?")
    calling = client.responses.create(model="auto", input=items, tools=[tool], tool_choice="required")
    (call,) = calling.output
    assert call.type == "function_call"
    items += [call.model_dump(exclude_none=True), {"type": "function_call_output", "call_id": call.call_id, "output": "Rain"}]
    assert client.responses.create(model="auto", input=items, tools=[tool]).output_text
    assert isinstance(client.responses.parse(model="auto", input=asking(), text_format=River).output_parsed, River)


def test_responses_streamed(client: openai.OpenAI) -> None:
    with client.responses.stream(model="auto", input=f"[[sim in=20 out=40]] {uuid.uuid4()}") as stream:
        events = list(stream)
        final = stream.get_final_response()
    said = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert len(said) > 1
    assert "".join(said) == final.output_text
    assert final.usage is not None
    assert (final.usage.input_tokens, final.usage.output_tokens) == (20, 40)
    assert [event.sequence_number for event in events] == sorted({event.sequence_number for event in events})


def test_who_may_not_and_what_cannot_be_asked(edge: Edge, client: openai.OpenAI) -> None:
    with client_of(edge, "pk-nobody") as nobody, pytest.raises(openai.AuthenticationError):
        nobody.models.list()
    with client_of(edge, edge.key("acme", "read")) as reader, pytest.raises(openai.PermissionDeniedError):
        reader.chat.completions.create(model="auto", messages=asking())
    with pytest.raises(openai.NotFoundError) as unknown:
        client.chat.completions.create(model="no-such-model", messages=asking())
    assert unknown.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError) as bad:
        client.chat.completions.create(model="auto", messages=[])
    assert bad.value.param == "messages"
    with pytest.raises(openai.BadRequestError):
        client.chat.completions.create(model="auto", messages=asking(), temperature=9)
    with pytest.raises(openai.APIStatusError) as large:
        client.chat.completions.create(model="auto", messages=[{"role": "user", "content": "a" * 4_000_001}])
    assert large.value.status_code == 413


def test_a_key_of_idempotency_answers_again_and_refuses_another_body(client: openai.OpenAI) -> None:
    headers, messages = {"Idempotency-Key": str(uuid.uuid4())}, asking()
    first = client.chat.completions.create(model="auto", messages=messages, extra_headers=headers)
    again = client.chat.completions.create(model="auto", messages=messages, extra_headers=headers)
    assert again.id == first.id
    assert again.choices[0].message.content == first.choices[0].message.content
    with pytest.raises(openai.UnprocessableEntityError):
        client.chat.completions.create(model="auto", messages=asking(), extra_headers=headers)


def test_an_answer_that_does_not_come_in_time(client: openai.OpenAI) -> None:
    hanging = asking(marker="[[sim in=5 out=5 fault=hang]]")
    with pytest.raises(openai.APITimeoutError):
        client.chat.completions.create(model="auto", messages=hanging, timeout=0.3, extra_headers={"x-penstock-timeout": "2"})
    with pytest.raises(openai.InternalServerError) as late:
        client.chat.completions.create(model="auto", messages=hanging, extra_headers={"x-penstock-timeout": "1"})
    assert late.value.status_code == 504


def test_a_stream_that_is_closed_is_answered_and_billed_once(edge: Edge) -> None:
    with client_of(edge, edge.key("leaver")) as leaver:
        stream = leaver.chat.completions.create(model="auto", messages=asking(marker="[[sim in=20 out=400]]"), stream=True)
        request_id = next(chunk.id for chunk in stream)
        stream.close()
    with edge.client("leaver") as reader:
        shown = billed(reader, request_id)
    assert shown["status"] == "ok"
    assert shown["cost"]["calls"] == 1
    assert shown["cost"]["nanousd"] == shown["response"]["cost_nanousd"] > 0
    assert shown["response"]["usage"]["output_tokens"] == 400
    assert len([entry for entry in shown["lineage"] if entry["kind"] == "cost"]) == 1


def billed(reader: httpx.Client, request_id: str) -> Any:
    """The request as the log has it, once it is answered and in the ledger."""
    give_up = time.monotonic() + 60
    while True:
        answer = reader.get(f"/v1/requests/{request_id}")
        shown = answer.json()
        if answer.status_code == 200 and shown["response"] is not None and shown["cost"] is not None and shown["cost"]["calls"]:
            return shown
        assert time.monotonic() < give_up, answer.text
        time.sleep(0.1)
