"""The embedder that comes with Penstock: what the library itself would give, for less."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import wordllama

from streams.embedding.wordllama import WordLlama

TEXTS = [
    "Write a poem about rivers.",
    "  two  spaces,\n\nan empty line\n  and\tone tab ",
    "def f(x):\n    return x**2  # comment",
    "Ärger über Größe: naïve café — “quoted” … 100 %",
    "Привет, как дела?",
    "a",
]

PROGRAM = """
import os, sys
from streams.embedding.wordllama import WordLlama
WordLlama().embed(["hello there"] * 100)
print(len(os.listdir("/proc/self/task")), sorted({"requests", "wordllama", "httpx", "torch"} & sys.modules.keys()))
"""


def test_it_is_what_the_library_gives():
    library = wordllama.WordLlama.load(cache_dir=Path(wordllama.__file__).parent, disable_download=True)
    expected = library.embed(TEXTS, norm=True)
    assert np.allclose(WordLlama().embed(TEXTS), expected, atol=1e-5)


def test_rows_have_length_one_and_an_empty_text_a_row_of_zeros():
    vectors = WordLlama().embed(["hello", "", " \n", "本"])
    assert (vectors.shape, vectors.dtype) == ((4, 256), np.float32)
    assert np.allclose(np.linalg.norm(vectors, axis=1), [1, 0, 0, 1], atol=1e-6)


def test_no_texts_are_no_rows():
    assert WordLlama().embed([]).shape == (0, 256)


def test_a_text_has_the_same_vector_whatever_was_embedded_before_and_beside_it():
    embedder = WordLlama()
    alone = embedder.embed(["Write a poem about rivers."])
    # More words than are remembered: all are forgotten on the way.
    embedder.embed([" ".join(f"word{n}" for n in range(at, at + 3_000)) for at in range(0, 21_000, 3_000)])
    again = embedder.embed(["zebra", "Write a poem about rivers.", "x" * 500])[1:2]
    assert again.tobytes() == alone.tobytes() == WordLlama().embed(["Write a poem about rivers."]).tobytes()


@pytest.mark.parametrize(
    "text", ["\ud83d half a pair", "\x00", "x" * 1_000_000, "word " * 200_000], ids=["pair", "nul", "one-word", "long"]
)
def test_no_text_makes_it_raise(text):
    assert np.isfinite(WordLlama().embed([text])).all()


def test_it_imports_nothing_that_downloads_and_starts_no_thread():
    said = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, env={"OPENBLAS_NUM_THREADS": "1", "PATH": ""}
    )
    assert said.stdout.strip() == "1 []"
