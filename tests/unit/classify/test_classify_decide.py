"""What intake says about a request: kind and confidence, complexity, size, language, needs."""

import json

import numpy as np
import pytest

from processors.classify import tokens
from processors.classify.decide import CLASSIFIER, Complexity, Needs, decide, judge, read
from processors.classify.head import FILE, shipped
from processors.classify.kinds import TaskKind
from schemas.requests import ContentPart, InferenceRequest, Message, Operation, Sampling
from streams.embedding.wordllama import WordLlama

EMBEDDER = WordLlama()


def chat(*turns: str, **more: object) -> InferenceRequest:
    messages = tuple(message for turn in turns for message in (Message("assistant", "\u2026"), Message("user", turn)))[1:]
    return InferenceRequest("r", "t", "auto", messages=messages, **more)


def one(request: InferenceRequest):
    return decide([request], EMBEDDER)[0]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Translate to French: the cat sleeps.", TaskKind.TRANSLATION),
        ("Summarise the text below in three sentences.", TaskKind.SUMMARISATION),
        ("Write a Python function that reverses a list.", TaskKind.CODING),
        ("Why does this fail?\n```\nint main() {}\n```", TaskKind.CODING),
        ("Extract all dates as JSON from this letter.", TaskKind.EXTRACTION),
        ("Act as a travel guide in Rome.", TaskKind.ROLEPLAY),
        ("What is 17 * 23?", TaskKind.MATH),
        ("Solve for x: 3x + 4 = 19", TaskKind.MATH),
        ("Write a poem about rivers.", TaskKind.WRITING),
        ("All cats purr. Tom does not purr. Is Tom a cat? Explain your reasoning.", TaskKind.REASONING),
        ("How does photosynthesis work?", TaskKind.STEM),
        ("What did Socrates think of democracy?", TaskKind.HUMANITIES),
        ("Write an essay on the causes of the French Revolution.", TaskKind.HUMANITIES),
        ("Write a poem about the French Revolution.", TaskKind.WRITING),
        ("Imagine you are a tired wizard. How does photosynthesis work?", TaskKind.ROLEPLAY),
        ("You are a helpful assistant. How does photosynthesis work?", TaskKind.STEM),
        ("hello there", TaskKind.CHAT),
        ("How do I clean a carpet?", TaskKind.OTHER),
        ("", TaskKind.OTHER),
        (" \n\t", TaskKind.OTHER),
        ("Schreibe ein Gedicht über den Herbst.", TaskKind.WRITING),
        ("¿Cuánto es 12 por 9?", TaskKind.MATH),
    ],
    ids=lambda value: value if isinstance(value, TaskKind) else None,
)
def test_task_kind(text, kind):
    assert one(chat(text)).task_kind is kind


@pytest.mark.parametrize(
    ("turns", "kind"),
    [
        pytest.param(("Write a poem about autumn.", "Now make it shorter."), TaskKind.WRITING, id="goes-on"),
        pytest.param(("Write a Python function that sorts a list.", "Explain step 2."), TaskKind.CODING, id="explain"),
        pytest.param(("Write a poem.", "shorter", "sadder", "Make it a bit longer."), TaskKind.WRITING, id="after-several-turns"),
        pytest.param(("Solve 3x + 4 = 19.", "What if it were the other way round?"), TaskKind.MATH, id="what-if"),
        pytest.param(("Act as a ghost.", "Now say it in simpler words."), TaskKind.ROLEPLAY, id="again"),
        pytest.param(("Write a poem.", "Translate it to German."), TaskKind.TRANSLATION, id="another-task"),
    ],
)
def test_a_turn_that_goes_on_has_the_kind_of_what_came_before(turns, kind):
    assert one(chat(*turns)).task_kind is kind


def test_the_last_user_message_is_what_is_asked():
    messages = (*chat("Write a poem.", "Translate it to German.").messages, Message("system", "sql"))
    assert one(InferenceRequest("r", "t", "auto", messages=messages)).task_kind is TaskKind.TRANSLATION


def test_a_kind_that_is_not_sure_enough_is_other():
    found = [one(chat(text)) for text in ("zebra", "of of of", "blue seven perhaps", "Tell me something.")]
    assert all((one.task_kind is TaskKind.OTHER) or one.confidence >= shipped().threshold for one in found)
    assert all(0 < one.confidence <= 1 for one in found)


def test_the_text_of_parts_is_read():
    message = Message(
        "user",
        parts=(
            ContentPart("text", "Summarise this article in two sentences"),
            ContentPart("image_url", image_url="https://x/y.png"),
        ),
    )
    classified = one(InferenceRequest("r", "t", "auto", messages=(message,)))
    assert (classified.task_kind, classified.needs) == (TaskKind.SUMMARISATION, Needs(vision=True))


@pytest.mark.parametrize("operation", [Operation.EMBEDDINGS, Operation.CLASSIFICATION, Operation.ML])
def test_operations_without_a_task_in_words_are_other(operation):
    classified = one(InferenceRequest("r", "t", "m", operation=operation, input=("translate this",)))
    assert (classified.task_kind, classified.confidence) == (TaskKind.OTHER, 0.0)


def test_a_request_without_any_text_has_no_vector():
    for request in (
        InferenceRequest("r", "t", "m"),
        InferenceRequest("r", "t", "m", operation=Operation.ML, features_json="[1]"),
    ):
        classified = one(request)
        assert (classified.task_kind, classified.vector, classified.language) == (TaskKind.OTHER, None, "und")


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
    assert one(request_).complexity is complexity


@pytest.mark.parametrize(
    ("more", "needs"),
    [
        pytest.param({}, Needs(), id="none"),
        pytest.param({"tools_json": "[]"}, Needs(tools=True), id="tools"),
        pytest.param({"response_format_json": '{"type": "json_object"}'}, Needs(json_mode=True), id="json"),
        pytest.param(
            {"response_format_json": '{"type": "json_schema", "json_schema": {"schema": {"const": "json_object"}}}'},
            Needs(json_schema=True),
            id="schema",
        ),
        pytest.param({"response_format_json": '{"type": "text"}'}, Needs(), id="text-format"),
    ],
)
def test_needs(more, needs):
    assert one(chat("hi", **more)).needs == needs


def test_output_bounds():
    assert one(chat("hi")).max_output_tokens is None
    assert one(chat("hi", sampling=Sampling(max_output_tokens=7))).max_output_tokens == 7
    assert one(InferenceRequest("r", "t", "m", operation=Operation.EMBEDDINGS, input=("a",))).max_output_tokens == 0


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


def test_labels_are_those_of_the_hook_and_none_without_one():
    assert one(chat("call me at 555")).sensitivity == ()
    labelled = decide([chat("call me at 555")], EMBEDDER, sensitivity=lambda request: ["pii"] if request.messages else [])
    assert labelled[0].sensitivity == ("pii",)


MIXED = [
    chat("Write a poem about rivers."),
    chat(""),
    chat("What is 17 * 23?", "And divided by 2?"),
    InferenceRequest("r", "t", "m", operation=Operation.ML, features_json="[1]"),
    chat("Explain \ud83d this half of a pair"),
    chat("word " * 210_000),
    chat("本" * 5_000),
    chat("\x00\x01\u202e broken \ufffd\ufffd text"),
    *(chat(f"Solve {n}x + 2 = {n * n} for the {n}th time") for n in range(60)),
]


def test_a_batch_says_the_same_as_one_by_one_to_the_last_bit_and_so_does_another_process():
    together, alone, fresh = decide(MIXED, EMBEDDER), [one(request) for request in MIXED], decide(MIXED[::-1], WordLlama())[::-1]
    for first, second, third in zip(together, alone, fresh, strict=True):
        assert (first.task_kind, first.confidence, first.language) == (second.task_kind, second.confidence, second.language)
        assert (first.task_kind, first.confidence, first.language) == (third.task_kind, third.confidence, third.language)
        if first.vector is not None and second.vector is not None and third.vector is not None:
            assert first.vector.tobytes() == second.vector.tobytes() == third.vector.tobytes()
        else:
            assert first.vector is second.vector is third.vector is None


def test_of_a_text_of_a_megabyte_the_head_and_the_tail_are_read():
    long = "Translate this to French. " + "lorem ipsum dolor " * 60_000
    reading = read(chat(long))
    assert len(reading.asked.text) < 3_000
    classified = judge([reading], EMBEDDER)[0]
    assert (classified.whole, classified.complexity is not Complexity.LOW) == (False, True)
    assert one(chat("Translate this to French.")).whole


def test_the_vector_is_of_what_was_last_asked():
    vector = one(chat("Write a poem.", "What is the capital of Peru?")).vector
    assert vector is not None
    assert np.array_equal(vector, EMBEDDER.embed(["What is the capital of Peru?"])[0])


def test_another_embedder_than_the_weights_are_of_is_refused():
    class Another:
        name, dimensions = "another", 256

        def embed(self, texts):
            return np.zeros((len(texts), 256), dtype=np.float32)

    with pytest.raises(ValueError, match="another"):
        decide([chat("hi")], Another())


def test_the_version_names_the_weights():
    assert shipped().version == CLASSIFIER
    assert CLASSIFIER.startswith("kinds-1-")
    assert FILE.stat().st_size < 300_000
