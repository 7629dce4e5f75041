"""How the simulator counts tokens: one for each four bytes of UTF-8, begun ones included.

A real tokenizer would be slow and no truer. What matters is that the count depends on the text alone, so that a checker
can repeat it, and that a text of the simulator's own counts as many tokens as it was asked to have.
"""

from dataclasses import dataclass

BYTES_PER_TOKEN = 4
TOKENS_PER_MESSAGE = 3  # role and separators, the same for every shape
TOKENS_PER_IMAGE = 85  # what OpenAI charges for an image at low detail


@dataclass(frozen=True, slots=True)
class Usage:
    """What a call bills. `input_tokens` is all input: the two cache counts are parts of it."""

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0

    @property
    def uncached_tokens(self) -> int:
        """Input that neither came from the provider's cache nor was written to it."""
        return self.input_tokens - self.cache_read_tokens - self.cache_write_tokens


FREE = Usage()


def count(text: str) -> int:
    """Tokens of a text.

    >>> count(""), count("four"), count("fives")
    (0, 1, 2)
    """
    size = len(text) if text.isascii() else len(text.encode())
    return -(-size // BYTES_PER_TOKEN)
