"""The lines of an export, in our terms."""

from dataclasses import dataclass
from enum import StrEnum


class KeyKind(StrEnum):
    """What the id of a line is."""

    CALL = "call"
    """Our call id."""
    RESPONSE = "response"
    """The provider's id of its answer."""
    NONE = "none"
    """Its place in the export: the line names no call."""


@dataclass(frozen=True, slots=True)
class Told:
    """Tokens as a provider counts them, made inclusive. A part is None when the export does not tell it."""

    input_tokens: int
    output_tokens: int
    cache_read_input_tokens: int | None = None
    cache_write_input_tokens: int | None = None
    reasoning_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """One call as the provider has it. `at_us`: when it was made, Unix microseconds; None when the export does not tell."""

    kind: KeyKind
    id: str
    provider: str
    model: str | None
    at_us: int | None
    told: Told


@dataclass(frozen=True, slots=True)
class Bucket:
    """The sum of all calls that started in [start_us, end_us). `model` None: of every model. `requests` None: not told."""

    provider: str
    model: str | None
    start_us: int
    end_us: int
    told: Told
    requests: int | None
