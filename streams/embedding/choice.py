"""Which embedder makes the vectors of the semantic cache, as the operator set it."""

from typing import assert_never

from processors.embedding import Embedder
from streams.settings import Settings


def semantic_embedder(settings: Settings, built_in: Embedder) -> tuple[Embedder, str]:
    """The embedder, and the name of the scorer that was fitted to its vectors.

    Raises SettingsError when what it needs is not installed.
    """
    match settings.semantic_embedder:
        case "wordllama":
            return built_in, "wordllama"
        case "minilm":
            # torch takes seconds and hundreds of megabytes: only who asks for it.
            from streams.embedding.minilm import MiniLM  # noqa: PLC0415

            return MiniLM(settings.semantic_device), "minilm"
        case other:
            assert_never(other)
