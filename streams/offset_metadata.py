"""What is done beyond a committed offset, as the text that Kafka keeps beside it.

An offset says only where the first unfinished record is. One slow call at the head would then have everything behind it repeated
after a crash, finished or not. So a commit also names what is done behind the head, and the next owner leaves that out.
(Confluent's Parallel Consumer keeps its finished offsets in the same place.)
"""

from collections.abc import Collection, Iterator

PREFIX = "done:"
MAX_CHARS = 3_900
"""Kafka refuses more than `offset.metadata.max.bytes`, 4,096 by default. What does not fit may be done twice, and that is all."""

MAX_DONE = 1_000_000
"""More than that is not a page of ours, and must not fill the memory."""


def encode(base: int, done: Collection[int]) -> str:
    """The done offsets above `base`, as runs of `gap+length`, each gap counted from the end of the run before.

    >>> encode(10, {11, 12, 13, 20})
    'done:1+3,6+1'
    >>> encode(10, set())
    ''
    """
    text, end = "", base
    for start, length in _runs(sorted(offset for offset in done if offset >= base)):
        more = f"{',' if text else PREFIX}{start - end}+{length}"
        if len(text) + len(more) > MAX_CHARS:
            break
        text, end = text + more, start + length
    return text


def decode(base: int, text: str) -> set[int]:
    """The inverse of `encode`; nothing for a text that is not ours.

    >>> sorted(decode(10, "done:1+3,6+1"))
    [11, 12, 13, 20]
    >>> decode(10, "committed by a tool")
    set()
    """
    done: set[int] = set()
    if not text.startswith(PREFIX):
        return done
    end = base
    for run in text.removeprefix(PREFIX).split(","):
        gap, plus, length = run.partition("+")
        if not (plus and gap.isdecimal() and length.isdecimal()) or len(done) + int(length) > MAX_DONE:
            return set()
        start, end = end + int(gap), end + int(gap) + int(length)
        done.update(range(start, end))
    return done


def _runs(offsets: list[int]) -> Iterator[tuple[int, int]]:
    """(start, length) of each unbroken run.

    >>> list(_runs([1, 2, 5]))
    [(1, 2), (5, 1)]
    """
    start = 0
    for index, offset in enumerate(offsets):
        if index and offset != offsets[index - 1] + 1:
            yield offsets[start], index - start
            start = index
    if offsets:
        yield offsets[start], len(offsets) - start
