from datetime import UTC, datetime, timedelta

import pytest

from processors.cache.semantic.decide import NEW_ENTRY, NEW_SCOPE, Ask, Serve, decide
from processors.cache.semantic.match import Match, match
from processors.cache.semantic.scorer import Scorer, load
from schemas.semantic import SemanticEntry
from streams.embedding.wordllama import WordLlama

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def llama() -> WordLlama:
    return WordLlama()


@pytest.fixture(scope="module")
def scorer() -> Scorer:
    return load("wordllama")


def kept(llama: WordLlama, *texts: str) -> list[SemanticEntry]:
    return [
        SemanticEntry(text, b"s" * 32, "acme", text, row.astype("<f4").tobytes(), llama.name, NOON, NOON + timedelta(hours=1))
        for text, row in zip(texts, llama.embed(texts), strict=True)
    ]


def found(scorer: Scorer, llama: WordLlama, text: str, *texts: str) -> Match | None:
    return match(text, llama.embed([text])[0], kept(llama, *texts), scorer, llama)


def test_the_likeliest_entry_is_found_and_serves(scorer: Scorer, llama: WordLlama):
    best = found(
        scorer,
        llama,
        "How can I reset my password?",
        "How do I choose a password?",
        "How do I reset my password?",
        "How are you?",
    )
    assert best is not None
    assert best.entry.text == "How do I reset my password?"
    assert isinstance(decide(NEW_ENTRY, NEW_SCOPE, best.score, threshold=scorer.crowd.threshold(0.05), draw=0.5), Serve)


@pytest.mark.parametrize(
    ("text", "entry"),
    [
        pytest.param("Transfer $1000 to Bob", "Transfer $100 to Bob", id="another amount"),
        pytest.param("Transfer $100 to Alice", "Transfer $100 to Bob", id="another person"),
        pytest.param("Why is the sky blue?", "How do I bake bread?", id="another subject"),
        pytest.param("", "How do I bake bread?", id="nothing asked"),
    ],
)
def test_what_the_guards_or_the_distance_part_has_no_score(scorer: Scorer, llama: WordLlama, text: str, entry: str):
    assert found(scorer, llama, text, entry) is None


def test_among_no_entries_there_is_none(scorer: Scorer, llama: WordLlama):
    assert found(scorer, llama, "How do I bake bread?") is None


@pytest.mark.parametrize(
    ("text", "entry"),
    [
        pytest.param("what is the weather in paris", "what is the weather in london", id="a city without a capital"),
        pytest.param("Paris weather forecast for the week", "London weather forecast for the week", id="a name at the start"),
        pytest.param("how do I reset my gmail password", "how do I reset my yahoo password", id="a product"),
        pytest.param("what are the side effects of aspirin", "what are the side effects of ibuprofen", id="a medicine"),
        pytest.param("how do I sort a list in python", "how do I sort a tuple in python", id="a type"),
        pytest.param("transfer money to alice", "transfer money to bob", id="a person"),
        pytest.param("delete the staging database", "delete the production database", id="an environment"),
        pytest.param("how do I cancel my subscription", "how do I renew my subscription", id="an act"),
        pytest.param("how tall is the eiffel tower", "how old is the eiffel tower", id="a measure"),
        pytest.param("Can dogs eat chocolate?", "Can cats eat chocolate?", id="an animal"),
        pytest.param("is the shop open in the morning", "is the shop open in the afternoon", id="a time of day"),
        pytest.param("translate hello into french", "translate hello into spanish", id="a language"),
    ],
)
def test_one_word_that_matters_keeps_an_entry_from_serving_even_at_a_lax_bound(
    scorer: Scorer, llama: WordLlama, text: str, entry: str
):
    best = found(scorer, llama, text, entry)
    assert best is None or isinstance(
        decide(NEW_ENTRY, NEW_SCOPE, best.score, threshold=scorer.crowd.threshold(0.05), draw=0.5), Ask
    )


@pytest.mark.parametrize(
    ("text", "entry"),
    [
        pytest.param("How can I reset my password?", "How do I reset my password?", id="an auxiliary"),
        pytest.param("What's the capital of France?", "What is the capital of France?", id="a short form"),
        pytest.param("how do i install docker on ubuntu", "how to install docker on ubuntu?", id="another frame"),
    ],
)
def test_a_plain_rewording_serves_at_one_in_fifty(scorer: Scorer, llama: WordLlama, text: str, entry: str):
    best = found(scorer, llama, text, entry)
    assert best is not None
    assert isinstance(decide(NEW_ENTRY, NEW_SCOPE, best.score, threshold=scorer.crowd.threshold(0.02), draw=0.5), Serve)
