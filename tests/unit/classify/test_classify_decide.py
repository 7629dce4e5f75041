"""What intake says about a request: kind, complexity, size, needs."""

import json

import pytest

from processors.classify import tokens
from processors.classify.decide import Complexity, Needs, decide
from processors.classify.lexicon import TaskKind
from schemas.requests import ContentPart, InferenceRequest, Message, Operation, Sampling


def chat(text: str, **more: object) -> InferenceRequest:
    return InferenceRequest("r", "t", "auto", messages=(Message("user", text),), **more)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Translate to French: the cat sleeps.", TaskKind.TRANSLATION),
        ("Summarise the text below in three sentences.", TaskKind.SUMMARISATION),
        ("Write a Python function that reverses a list.", TaskKind.CODING),
        ("Why does this fail?\n```\nint main() {}\n```", TaskKind.CODING),
        ("Extract all dates as JSON.", TaskKind.EXTRACTION),
        ("Act as a travel guide in Rome.", TaskKind.ROLEPLAY),
        ("What is 17 * 23?", TaskKind.MATH),
        ("Solve for x: 3x + 4 = 19", TaskKind.MATH),
        ("Write a poem about rivers.", TaskKind.WRITING),
        ("Here is a riddle: what has keys and opens no lock?", TaskKind.REASONING),
        ("How does photosynthesis work?", TaskKind.STEM),
        ("What did Socrates think of democracy?", TaskKind.HUMANITIES),
        ("hello there", TaskKind.CHAT),
        ("thanks!", TaskKind.CHAT),
        ("Tell me something.", TaskKind.OTHER),
        ("", TaskKind.OTHER),
        ("こんにちは", TaskKind.OTHER),
    ],
    ids=lambda value: value if isinstance(value, TaskKind) else None,
)
def test_task_kind(text, kind):
    assert decide(chat(text)).task_kind is kind


def test_the_last_user_message_is_what_is_asked():
    messages = (
        Message("user", "Write a poem."),
        Message("assistant", "…"),
        Message("user", "Translate it to German."),
        Message("system", "sql"),
    )
    assert decide(InferenceRequest("r", "t", "auto", messages=messages)).task_kind is TaskKind.TRANSLATION


def test_the_text_of_parts_is_read():
    message = Message(
        "user", parts=(ContentPart("text", "Summarise this"), ContentPart("image_url", image_url="https://x/y.png"))
    )
    classified = decide(InferenceRequest("r", "t", "auto", messages=(message,)))
    assert (classified.task_kind, classified.needs) == (TaskKind.SUMMARISATION, Needs(vision=True))


@pytest.mark.parametrize("operation", [Operation.EMBEDDINGS, Operation.CLASSIFICATION, Operation.ML])
def test_operations_without_a_task_in_words_are_other(operation):
    assert decide(InferenceRequest("r", "t", "m", operation=operation, input=("translate this",))).task_kind is TaskKind.OTHER


@pytest.mark.parametrize(
    ("request_", "complexity"),
    [
        pytest.param(chat("hello"), Complexity.LOW, id="greeting"),
        pytest.param(chat("Write a Python function."), Complexity.MEDIUM, id="code"),
        pytest.param(chat("Tell me of it. " * 200), Complexity.MEDIUM, id="long"),
        pytest.param(chat("Prove that this Python function halts. " + "x " * 1_500), Complexity.HIGH, id="long-hard-code"),
    ],
)
def test_complexity(request_, complexity):
    assert decide(request_).complexity is complexity


@pytest.mark.parametrize(
    ("more", "needs"),
    [
        pytest.param({}, Needs(), id="none"),
        pytest.param({"tools_json": "[]"}, Needs(tools=True), id="tools"),
        pytest.param({"response_format_json": '{"type": "json_object"}'}, Needs(json_mode=True), id="json"),
        pytest.param({"response_format_json": '{"type": "text"}'}, Needs(), id="text-format"),
    ],
)
def test_needs(more, needs):
    assert decide(chat("hi", **more)).needs == needs


def test_output_bounds():
    assert decide(chat("hi")).max_output_tokens is None
    assert decide(chat("hi", sampling=Sampling(max_output_tokens=7))).max_output_tokens == 7
    assert decide(InferenceRequest("r", "t", "m", operation=Operation.EMBEDDINGS, input=("a",))).max_output_tokens == 0


def test_the_estimate_covers_all_input():
    message = Message("user", "a" * 400)
    alone = tokens.of_request(InferenceRequest("r", "t", "m", messages=(message,)))
    assert alone == 100 + 4 + 3
    tools = json.dumps([{"x": "y" * 390}])
    assert tokens.of_request(InferenceRequest("r", "t", "m", messages=(message,), tools_json=tools)) == alone + tokens.of_text(
        tools
    )
    pictured = Message("user", parts=(ContentPart("text", "a" * 400), ContentPart("image_url", image_url="data:" + "A" * 10**6)))
    assert tokens.of_request(InferenceRequest("r", "t", "m", messages=(pictured,))) == alone + 1_600
