"""How many tokens a request takes, estimated without a tokenizer."""

from schemas.requests import ContentPart, InferenceRequest, Message

_PER_MESSAGE = 4
_PER_REPLY = 3
_PER_IMAGE = 1_600
"""The dearest of the providers' own figures for one image of ordinary size (Anthropic: up to about 1,600)."""


def of_text(text: str | None) -> int:
    """About 4 characters a token for ASCII, and 3/8 of a token more for each further UTF-8 byte of a character.

    That makes 1 token of a CJK character and 0.6 of a Cyrillic one, which lies above what current tokenizers take: an
    estimate that bounds costs should err high.

    >>> of_text("a" * 400), of_text("本" * 8), of_text("")
    (100, 8, 0)
    """
    if not text:
        return 0
    eighths = 2 * len(text)
    if not text.isascii():
        eighths += 3 * (len(text.encode("utf-8", "surrogatepass")) - len(text))
    return -(-eighths // 8)


def of_request(request: InferenceRequest) -> int:
    """All input of a request: messages, texts, labels, tool definitions, and a few tokens of framing a message."""
    total = _PER_REPLY
    for message in request.messages:
        total += _PER_MESSAGE + _of_message(message)
    for text in request.input:
        total += of_text(text)
    for label in request.labels:
        total += of_text(label) + 1
    return total + of_text(request.tools_json) + of_text(request.response_format_json) + of_text(request.features_json)


def _of_message(message: Message) -> int:
    total = of_text(message.content)
    for part in message.parts:
        total += _of_part(part)
    for call in message.tool_calls:
        total += of_text(call.name) + of_text(call.arguments_json)
    return total


def _of_part(part: ContentPart) -> int:
    if part.image_url is not None:
        return _PER_IMAGE
    return of_text(part.text) + of_text(part.data_json)
