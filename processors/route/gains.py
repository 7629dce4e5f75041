"""The seam to whatever has learned for which prompts the dearer model pays."""

from typing import Protocol

from processors.embedding import Vectors


class GainPredictor(Protocol):
    """Pure: the same prompt always has the same gain. `version` says which model and which data it was fitted to."""

    @property
    def version(self) -> str: ...

    def gain(self, text: str, vector: Vectors | None) -> float:
        """By how much the strong model's answer to the prompt is expected to be better than the weak one's."""
        ...

    def threshold(self, target_quality: float) -> float:
        """From which gain on a prompt goes to the strong model, to keep this share of the strong model's quality."""
        ...
