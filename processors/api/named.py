"""How an answer is labelled."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Named:
    """The id that the client sees, when the answer was begun, and the model asked for."""

    request_id: str
    created_s: int
    model: str
