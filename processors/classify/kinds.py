"""What a request can be about."""

from enum import StrEnum


class TaskKind(StrEnum):
    """`other`: none of the kinds, or none that is sure enough. The order is that of the head's rows."""

    WRITING = "writing"
    ROLEPLAY = "roleplay"
    REASONING = "reasoning"
    MATH = "math"
    CODING = "coding"
    EXTRACTION = "extraction"
    STEM = "stem"
    HUMANITIES = "humanities"
    TRANSLATION = "translation"
    SUMMARISATION = "summarisation"
    CHAT = "chat"
    OTHER = "other"
