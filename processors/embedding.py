"""The seam to whatever turns texts into vectors."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]


class Embedder(Protocol):
    """The same text always gives the same vector. `name` says which model and version: vectors of two names do not compare."""

    @property
    def name(self) -> str: ...

    @property
    def dimensions(self) -> int: ...

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Shape (len(texts), dimensions), rows of length 1; a row of zeros for a text without a known token."""
        ...
