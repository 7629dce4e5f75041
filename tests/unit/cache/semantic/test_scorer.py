"""The shipped weights: what they are, and what they say of a few pairs that no data set holds."""

from pathlib import Path

import numpy as np
import pytest

from processors.cache.semantic.bound import Calibration
from processors.cache.semantic.guards import compatible
from processors.cache.semantic.question import Question, prepare
from processors.cache.semantic.scorer import VERSION, Scorer, load, part_of, read, write
from streams.embedding.wordllama import WordLlama


@pytest.fixture(scope="module")
def scorer() -> Scorer:
    return load("wordllama")


@pytest.fixture(scope="module")
def llama() -> WordLlama:
    return WordLlama()


def asked(llama: WordLlama, *texts: str) -> list[Question]:
    return prepare(texts, llama.embed(texts), llama)


def score(scorer: Scorer, llama: WordLlama, a: str, b: str) -> float:
    one, other = asked(llama, a, b)
    return float(scorer.score([scorer.compare(one, other)])[0])


@pytest.mark.parametrize(
    ("a", "alike", "unlike"),
    [
        pytest.param(
            "How do I reset my password?",
            "How can I reset my password?",
            "How do I choose a password?",
            id="an auxiliary against a verb",
        ),
        pytest.param(
            "What is the best way to learn the violin?",
            "What are the best ways of learning the violin?",
            "What is the best way to tune the violin?",
            id="an inflection against a verb",
        ),
        pytest.param(
            "How do I bake sourdough bread at home?",
            "How can I make sourdough bread at home?",
            "How do I store sourdough bread at home?",
            id="a near synonym against another act",
        ),
    ],
)
def test_another_wording_scores_higher_than_another_question(scorer: Scorer, llama: WordLlama, a: str, alike: str, unlike: str):
    assert score(scorer, llama, a, alike) > score(scorer, llama, a, unlike)


def test_the_score_does_not_care_which_question_came_first(scorer: Scorer, llama: WordLlama):
    a, b = "How do I bake bread?", "What is a good way of baking bread at home?"
    assert score(scorer, llama, a, b) == pytest.approx(score(scorer, llama, b, a), abs=1e-5)


@pytest.mark.parametrize("text", ["", "?", "一二三", "a"], ids=["empty", "a sign", "Chinese", "one letter"])
def test_any_text_has_a_score(scorer: Scorer, llama: WordLlama, text: str):
    assert np.isfinite(score(scorer, llama, text, text))
    assert np.isfinite(score(scorer, llama, text, "How do I bake bread?"))


@pytest.mark.parametrize("setting", ["alone", "crowd"])
@pytest.mark.parametrize("name", ["wordllama", "minilm"])
def test_a_smaller_bound_needs_a_higher_score(name: str, setting: str):
    calibration: Calibration = getattr(load(name), setting)
    thresholds = [calibration.threshold(delta) for delta in (0.005, 0.01, 0.02, 0.05)]
    assert thresholds == sorted(thresholds, reverse=True)
    assert np.isfinite(thresholds).all()
    assert calibration.threshold(0.0001) == float("inf")


def test_a_hundred_dollars_never_answer_a_thousand(llama: WordLlama):
    one, other = asked(llama, "Transfer $100 to Bob", "Transfer $1000 to Bob")
    assert compatible(one.facts, other.facts) is not None


def test_weights_come_back_as_they_were_written(scorer: Scorer, tmp_path: Path):
    write(scorer, tmp_path / "w.npz")
    again = read(tmp_path / "w.npz")
    assert (again.wide == scorer.wide).all()
    assert (again.crowd.wrong == scorer.crowd.wrong).all()


def test_weights_of_another_version_are_refused(tmp_path: Path):
    np.savez(tmp_path / "old.npz", version=np.array("penstock-same-question/0"))
    with pytest.raises(ValueError, match=VERSION):
        read(tmp_path / "old.npz")


def test_weights_hold_numbers_and_no_text():
    for path in (Path(__file__).parents[4] / "processors/cache/semantic/weights").glob("*.npz"):
        with np.load(path) as held:
            assert [name for name in held.files if held[name].dtype.kind not in "if"] == ["version"]
        assert path.stat().st_size < 300_000


def test_the_part_of_a_pair_does_not_depend_on_its_order():
    assert part_of("a", "b", 5) == part_of("b", "a", 5)
    assert {part_of(str(n), "x", 5) for n in range(100)} == set(range(5))
