"""The embedder that comes with Penstock: the mean of token vectors of `wordllama`, which needs neither network nor GPU."""

import json
import re
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from processors.embedding import Vectors
from schemas.errors import SettingsError

_WEIGHTS = "weights/l2_supercat_256.safetensors"
_TOKENIZER = "tokenizers/l2_supercat_tokenizer_config.json"
_TENSOR = "embedding.weight"
_MAX_WORDS = 16_384
_MAX_AT_ONCE = 4_096
_words = re.compile(
    r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]| {0,64}[^ \n\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]{1,64}| {1,64}|\n{1,64}"
)
"""Pieces that the tokenizer's merges do not cross, so that a word's tokens are the same alone as in its text. Only pieces of
more than 64 characters, and CJK, are cut where a merge could have been."""


class WordLlama:
    """256 numbers a text. Reads the two data files of the installed package; imports none of its code and starts no thread.

    A text's vector is a sum over its words, and a word's is remembered: a known word costs a dictionary look-up where the
    tokenizer would take microseconds. The token matrix stays on disk, mapped, in float16; what is remembered is bounded.
    Not for use by two threads at once.
    """

    def __init__(self, folder: Path | None = None) -> None:
        folder = folder or _folder()
        self.name = "wordllama-l2_supercat_256"
        self._matrix = _mapped(folder / _WEIGHTS)
        self.dimensions = int(self._matrix.shape[1])
        self._tokenizer = Tokenizer.from_file(str(folder / _TOKENIZER))
        self._known: dict[str, int] = {}
        self._sums = np.empty((_MAX_WORDS, self.dimensions), dtype=np.float32)

    def embed(self, texts: Sequence[str]) -> Vectors:
        """A text's row depends on that text alone, to the last bit, whatever else is in the batch."""
        vectors = np.zeros((len(texts), self.dimensions), dtype=np.float32)
        for row, text in zip(vectors, texts, strict=True):
            if text and not text.isspace():
                self._sum(text, row)
        lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))
        lengths[lengths == 0] = 1
        vectors /= lengths[:, None]
        return vectors

    def _sum(self, text: str, row: Vectors) -> None:
        words = _words.findall(f" {text}")
        for start in range(0, len(words), _MAX_AT_ONCE):
            part = words[start : start + _MAX_AT_ONCE]
            known = self._known
            places = [known.get(word, -1) for word in part]
            if -1 in places:
                places = self._learn(part)
            row += np.add.reduce(self._sums.take(places, axis=0), axis=0)

    def _learn(self, words: Sequence[str]) -> list[int]:
        """The places of these words' sums, all of which are then known."""
        if len(self._known) + len(words) > _MAX_WORDS:
            self._known.clear()
        for word in words:
            if word not in self._known:
                place = len(self._known)
                tokens = self._tokenizer.model.tokenize(_readable(word).replace(" ", "\u2581"))
                ids = [token.id for token in tokens]
                np.add.reduce(self._matrix[ids].astype(np.float32), axis=0, out=self._sums[place])
                self._known[word] = place
        return [self._known[word] for word in words]


def _readable(word: str) -> str:
    """Half a surrogate pair, which the tokenizer cannot take, as a question mark."""
    return word.encode("utf-8", "replace").decode("utf-8")


def _folder() -> Path:
    spec = find_spec("wordllama")
    if spec is None or not spec.submodule_search_locations:
        raise SettingsError("the package wordllama is not installed; install Penstock with its dependencies")
    return Path(spec.submodule_search_locations[0])


def _mapped(path: Path) -> np.ndarray:
    """The token matrix of a safetensors file: 8 bytes of header length, the header as JSON, then the numbers."""
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(size))
    tensor = header[_TENSOR]
    if tensor["dtype"] != "F16":
        raise SettingsError(
            f"{path.name} holds {tensor['dtype']}, float16 was expected; install the wordllama version that is pinned"
        )
    offset = 8 + size + tensor["data_offsets"][0]
    return np.memmap(path, dtype=np.float16, mode="r", offset=offset, shape=tuple(tensor["shape"]))
