"""The shipped weights are what the trainer makes of the corpus."""

import numpy as np
import pytest

from bench.classify.corpus import examples
from bench.classify.train import train
from processors.classify.head import FILE, KINDS, assemble, shipped, version_of
from processors.classify.signs import words_of
from streams.embedding.wordllama import WordLlama


def test_the_corpus_is_the_same_each_time_and_has_every_kind_in_number():
    first = examples()
    assert first == examples()
    for kind in KINDS:
        assert sum(example.kind is kind for example in first) >= 140, kind


def test_the_shipped_weights_are_what_training_makes():
    """Compared by what they say of the corpus: rounding in another order moves single weights, not answers."""
    corpus, embedder, ours = examples(), WordLlama(), shipped()
    made = assemble(train(embedder, corpus, temperature=ours.temperature), "made")
    assert made.places == ours.places
    for name in ("by_vector", "by_shape", "by_sign", "bias"):
        assert np.abs(getattr(made, name) - getattr(ours, name)).max() < 0.25, name
    sample = corpus[::25]
    vectors = embedder.embed([example.text for example in sample])
    for example, vector in zip(sample, vectors, strict=True):
        words = words_of(example.text)
        apart = made.probabilities(made.read(example.text, words), vector) - ours.probabilities(
            ours.read(example.text, words), vector
        )
        assert np.abs(apart).max() < 0.05, example.text


def test_weights_that_do_not_hold_what_their_version_says_are_seen():
    with np.load(FILE) as file:
        arrays = {name: file[name] for name in file.files if name != "version"}
    assert version_of(arrays) == shipped().version
    arrays["bias"] = arrays["bias"] + 1
    assert version_of(arrays) != shipped().version


def test_weights_of_other_kinds_are_refused():
    with np.load(FILE) as file:
        arrays = {name: file[name] for name in file.files if name != "version"}
    with pytest.raises(ValueError, match="other kinds"):
        assemble({**arrays, "kinds": np.array("a\nb")}, "v")
