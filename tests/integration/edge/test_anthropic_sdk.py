"""The official `anthropic` SDK against the running stack, its own strict types switched on."""

import uuid
from collections.abc import Iterator
from typing import Any

import anthropic
import pytest

from tests.integration.edge.conftest import Edge

pytestmark = [pytest.mark.stack, pytest.mark.timeout(240)]

TOOL: Any = {
    "name": "weather",
    "description": "The weather in a city.",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}


@pytest.fixture(scope="module")
def client(edge: Edge) -> Iterator[anthropic.Anthropic]:
    with client_of(edge, edge.key("acme")) as made:
        yield made


def client_of(edge: Edge, key: str, **options: Any) -> anthropic.Anthropic:
    given: dict[str, Any] = {"max_retries": 0, "timeout": 60.0, "_strict_response_validation": True, **options}
    return anthropic.Anthropic(base_url=edge.url, api_key=key, **given)


def asking(text: str = "Name a river.", marker: str = "") -> Any:
    """A conversation that was not asked before, so that no cache answers it."""
    return [{"role": "user", "content": f"{marker} {text} {uuid.uuid4()}".strip()}]


@pytest.mark.parametrize("model", ["auto", "claude-haiku-5-5", "gpt-6-luna"])
def test_a_message_of_any_provider(client: anthropic.Anthropic, model: str) -> None:
    answer = client.messages.create(
        model=model, max_tokens=200, system="Be brief.", messages=asking(marker="[[sim in=20 out=12]]")
    )
    assert answer.content[0].type == "text"
    assert answer.content[0].text
    assert (answer.stop_reason, answer.usage.input_tokens, answer.usage.output_tokens) == ("end_turn", 20, 12)
    assert answer._request_id == answer.id


def test_cached_input_is_told_apart(client: anthropic.Anthropic) -> None:
    marker = "[[sim in=30 out=5 cache_read=8 cache_write=2]]"
    usage = client.messages.create(model="claude-haiku-5-5", max_tokens=200, messages=asking(marker=marker)).usage
    assert (usage.input_tokens, usage.cache_read_input_tokens, usage.cache_creation_input_tokens) == (20, 8, 2)


def test_an_answer_cut_short_says_so(client: anthropic.Anthropic) -> None:
    assert client.messages.create(model="auto", max_tokens=3, messages=asking()).stop_reason == "max_tokens"


@pytest.mark.parametrize("model", ["claude-haiku-5-5", "gpt-6-luna"])
def test_tools_are_called_and_answered(client: anthropic.Anthropic, model: str) -> None:
    choices: tuple[Any, ...] = ({"type": "tool", "name": "weather"}, {"type": "any"})
    for choice in choices:
        messages = asking("Weather in Ulm?")
        answer = client.messages.create(model=model, max_tokens=200, messages=messages, tools=[TOOL], tool_choice=choice)
        (call,) = answer.content
        assert call.type == "tool_use"
        assert (answer.stop_reason, set(call.input)) == ("tool_use", {"city"})
    result = {"type": "tool_result", "tool_use_id": call.id, "content": "Rain"}
    told = [*messages, {"role": "assistant", "content": answer.content}, {"role": "user", "content": [result]}]
    assert client.messages.create(model=model, max_tokens=200, messages=told, tools=[TOOL]).content[0].type == "text"


def test_the_stream_helper_puts_text_and_usage_together(client: anthropic.Anthropic) -> None:
    with client.messages.stream(model="auto", max_tokens=200, messages=asking(marker="[[sim in=20 out=40]]")) as stream:
        pieces = list(stream.text_stream)
        final = stream.get_final_message()
        assert stream.request_id == final.id
    assert len(pieces) > 1
    assert final.content[0].type == "text"
    assert final.content[0].text == "".join(pieces)
    assert (final.stop_reason, final.usage.input_tokens, final.usage.output_tokens) == ("end_turn", 20, 40)


@pytest.mark.parametrize("model", ["claude-haiku-5-5", "gpt-6-luna"])
def test_the_stream_helper_puts_tools_together(client: anthropic.Anthropic, model: str) -> None:
    asked: dict[str, Any] = {"model": model, "max_tokens": 200, "messages": asking(), "tools": [TOOL]}
    with client.messages.stream(**asked, tool_choice={"type": "any"}) as stream:
        final = stream.get_final_message()
    (call,) = final.content
    assert call.type == "tool_use"
    assert (call.name, set(call.input), final.stop_reason) == ("weather", {"city"}, "tool_use")


def test_counting_tokens(client: anthropic.Anthropic) -> None:
    short = client.messages.count_tokens(model="auto", messages=asking())
    long = client.messages.count_tokens(model="auto", messages=asking("Name a river. " * 100), tools=[TOOL], system="Be brief.")
    assert 0 < short.input_tokens < long.input_tokens


def test_models(client: anthropic.Anthropic) -> None:
    names = [model.id for model in client.models.list()]
    assert {"auto", "claude-haiku-5-5"} <= set(names)
    assert client.models.retrieve("claude-haiku-5-5").display_name == "claude-haiku-5-5"


def test_who_may_not_and_what_cannot_be_asked(edge: Edge, client: anthropic.Anthropic) -> None:
    asked: dict[str, Any] = {"model": "auto", "max_tokens": 9, "messages": asking()}
    with client_of(edge, "pk-nobody") as nobody, pytest.raises(anthropic.AuthenticationError):
        nobody.messages.create(**asked)
    with client_of(edge, edge.key("acme", "read")) as reader, pytest.raises(anthropic.PermissionDeniedError):
        reader.messages.create(**asked)
    with pytest.raises(anthropic.NotFoundError) as unknown:
        client.messages.create(**{**asked, "model": "no-such-model"})
    assert unknown.value.request_id is not None
    with pytest.raises(anthropic.BadRequestError):
        client.messages.create(**{**asked, "messages": []})
    with pytest.raises(anthropic.ContentTooLargeError):
        client.messages.create(**{**asked, "messages": asking("a" * 4_000_001)})
    with pytest.raises(anthropic.GatewayTimeoutError):
        hanging = {**asked, "messages": asking(marker="[[sim in=5 out=5 fault=hang]]")}
        client.messages.create(**hanging, extra_headers={"x-penstock-timeout": "1"})
