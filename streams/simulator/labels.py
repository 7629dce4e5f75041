"""Requests that ask for one label of a list are answered with one of them, as a model that follows its instructions would."""

from collections.abc import Iterator, Mapping
from typing import Any

ASKED = "exactly one of these labels"
_ITEM = "- "


def labels_asked(body: Mapping[str, Any]) -> tuple[str, ...]:
    r"""The labels listed after the words above, one a line behind a dash; empty when none are asked for.

    >>> labels_asked({"messages": [{"content": "Answer with exactly one of these labels:\n- spam\n- ham"}]})
    ('spam', 'ham')
    """
    for text in _texts(body):
        if ASKED in text:
            lines = text.split(ASKED, 1)[1].splitlines()
            return tuple(line.removeprefix(_ITEM) for line in lines if line.startswith(_ITEM))
    return ()


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)
