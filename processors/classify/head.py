"""The head: softmax regression over an embedding, signs and shape. Its weights are one file, made by bench/classify/train.py."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from math import exp, log
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from processors.classify.kinds import TaskKind
from processors.classify.signs import SHAPE, Places, shape

Floats = NDArray[np.float32]
FILE = Path(__file__).with_name("weights.npz")
KINDS = tuple(TaskKind)
CONTINUES = len(KINDS)
"""The row after those of the kinds: the text goes on with what came before and has no kind of its own."""
_STAYS = 0.85
"""How often a turn with a kind of its own stays with the one before. An assumption, not a measurement."""
_GOES_ON = 6.0
"""By how much the odds that a later turn goes on exceed those in the corpus, where one example in twelve does; of later turns
about one in three. An assumption as well."""


@dataclass(frozen=True, slots=True)
class Read:
    """What the head needs of a text besides its vector: which known signs it has, and its shape."""

    signs: tuple[int, ...]
    shape: tuple[float, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Head:
    """`by_vector` and `by_shape` have a row for each kind and one for `CONTINUES`; `by_sign` has a row for each known sign."""

    version: str
    embedder: str
    places: Places
    by_vector: Floats
    by_shape: Floats
    by_sign: Floats
    bias: Floats
    temperature: float
    threshold: float

    def read(self, text: str, words: list[str]) -> Read:
        return Read(tuple(self.places.of(words)), shape(text, words))

    def probabilities(self, read: Read, vector: Floats) -> Floats:
        """The shares of the kinds and of `CONTINUES`, calibrated. One text at a time: a batch must not change the last bit."""
        logits = self.by_vector @ vector + self.by_shape @ np.array(read.shape, dtype=np.float32) + self.bias
        if read.signs:
            logits += np.add.reduce(self.by_sign.take(read.signs, axis=0), axis=0) * np.float32(scale_of(len(read.signs)))
        logits *= np.float32(1 / self.temperature)
        shares = np.exp(logits - logits.max())
        return np.asarray(shares / shares.sum(), dtype=np.float32)


def scale_of(signs: int) -> float:
    """What each of so many signs counts: less in a longer text, but one that is decisive must not drown among the others."""
    return exp(-0.3 * log(max(1, signs)))


def join(turns: Iterable[Floats]) -> Floats:
    """The shares of the kinds after these turns of one sender, oldest first.

    What goes on with the turn before has its kind. What stands alone has its own, which is the likelier the more the turn
    before was of that kind too. The first turn has nothing to go on with: that share is `other`'s.
    """
    joined: Floats | None = None
    for shares in turns:
        own, continues = shares[:CONTINUES], float(shares[CONTINUES])
        if joined is None:
            joined = own.copy()
            joined[-1] += continues
        else:
            continues *= _GOES_ON / (1 + (_GOES_ON - 1) * continues)
            alone = own * (_STAYS * joined + (1 - _STAYS) / len(KINDS))
            joined = continues * joined + (1 - continues) * alone / alone.sum()
    if joined is None:
        raise ValueError("a conversation has at least one turn")
    return joined


def version_of(arrays: Mapping[str, NDArray[np.generic]]) -> str:
    """Names the weights by what is in them."""
    digest = sha256()
    for name in sorted(arrays):
        digest.update(name.encode() + arrays[name].tobytes())
    return f"kinds-1-{digest.hexdigest()[:12]}"


@cache
def shipped() -> Head:
    """The head in this package. Raises ValueError when the file does not hold what its version says, or other kinds."""
    with np.load(FILE, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files if name != "version"}
        version = str(file["version"])
    if version != version_of(arrays):
        raise ValueError(f"{FILE.name} is damaged; train it again with bench/classify/train.py")
    return assemble(arrays, version)


def assemble(arrays: Mapping[str, NDArray[np.generic]], version: str) -> Head:
    """A head of the arrays that the trainer writes."""
    kinds, names = (str(arrays[name]).split("\n") for name in ("kinds", "shape"))
    if (*kinds,) != KINDS or (*names,) != SHAPE:
        raise ValueError("the weights are of other kinds or signs than this version of Penstock has; train them again")
    return Head(
        version=version,
        embedder=str(arrays["embedder"]),
        places=Places.of_signs(bytes(arrays["signs"]).decode().split("\n")),
        by_vector=np.ascontiguousarray(arrays["by_vector"], dtype=np.float32),
        by_shape=np.ascontiguousarray(arrays["by_shape"], dtype=np.float32),
        by_sign=np.ascontiguousarray(arrays["by_sign"], dtype=np.float32) * np.float32(arrays["by_sign_unit"]),
        bias=np.asarray(arrays["bias"], dtype=np.float32),
        temperature=float(arrays["temperature"]),
        threshold=float(arrays["threshold"]),
    )
