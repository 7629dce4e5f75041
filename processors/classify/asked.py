"""What the sender asks, cut to what classification reads."""

from dataclasses import dataclass

from schemas.requests import InferenceRequest, Message

HEAD_CHARS = 1_500
TAIL_CHARS = 500
EARLIER_HEAD_CHARS = 600
EARLIER_TAIL_CHARS = 200
"""A long text says at its beginning or at its end what is wanted of it."""


@dataclass(frozen=True, slots=True)
class Asked:
    """`text` is what is asked now; `earlier` what the same sender asked first and last before, oldest first.

    `whole`: nothing was cut from `text`. Two texts that are alike here may differ in what was cut.
    """

    text: str
    earlier: tuple[str, ...]
    whole: bool


def asked(request: InferenceRequest) -> Asked:
    """The last user message and those before it; without one, the first input text."""
    said = [_text(message) for message in reversed(request.messages) if message.role == "user"]
    if not said:
        said = [request.input[0] if request.input else ""]
    now, before = said[0], said[1:]
    earlier = before if len(before) < 2 else [before[-1], before[0]] if len(before) > 2 else before[::-1]
    return Asked(
        text=_cut(now, HEAD_CHARS, TAIL_CHARS),
        earlier=tuple(_cut(text, EARLIER_HEAD_CHARS, EARLIER_TAIL_CHARS) for text in earlier),
        whole=len(now) <= HEAD_CHARS + TAIL_CHARS,
    )


def _text(message: Message) -> str:
    if message.content is not None:
        return message.content
    return " ".join(part.text for part in message.parts if part.text)


def _cut(text: str, head: int, tail: int) -> str:
    if len(text) <= head + tail:
        return text
    return f"{text[:head]} {text[-tail:]}"
