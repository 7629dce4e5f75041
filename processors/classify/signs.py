"""What the head sees of a text besides its embedding: its words, how it opens, and its shape."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from math import log1p
from typing import Self, cast

SHAPE = ("length", "lines", "digits", "foreign", "fence", "formula", "question", "quote", "options")
"""The names of what `shape` gives, in order."""
_MAX_WORDS = 120
_word = re.compile(r"(?:[^\W\d_]|[\u0300-\u036f\u0900-\u0dff\u0e00-\u0e7f])+[+#]*|\d+|```|[?=^{}<>;$%]|[.!:](?=\s)|\n")
_ascii_word = re.compile(r"[a-z]+[+#]*|\d+|[?=^{}<>;$%\n]|[.!:](?=\s)|```")
_ENDS = frozenset("!:\n")
_cjk = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
_formula = re.compile(r"\d\s*[-+*/^=<>]\s*[\da-z(]|\b[a-z]\s?[-+*/^=]\s?[\da-z]\b|\b[a-z]\([a-z\d]\)")
_operator = re.compile(r"[-+*/^=<>(]")
"""Every formula holds one, and most texts hold none: it is found in a tenth of the time."""
_options = re.compile(r"(?m)^\s*\(?[A-D1-4][.)]\s")


def words_of(text: str) -> list[str]:
    """The words of a text in lower case, CJK as pairs of characters: the first 80 and the last 40.

    >>> words_of("Write C++ code, 17 lines!")
    ['write', 'c++', 'code', '17', 'lines']
    """
    words = (_ascii_word if text.isascii() else _word).findall(text.lower())
    if len(words) > _MAX_WORDS:
        words = words[:80] + words[-40:]
    return words if text.isascii() else list(_split(words))


def _split(words: list[str]) -> Iterator[str]:
    for word in words:
        if _cjk.match(word):
            yield from (word[i : i + 2] for i in range(max(1, len(word) - 1)))
        else:
            yield word


def _plain(words: list[str]) -> list[str]:
    return [word if word.isalpha() else "0" if word.isdigit() else "." if word in _ENDS else word for word in words]


def signs_of(words: list[str]) -> set[str]:
    """The words and pairs of neighbours, and the first one and two with `^` before them.

    >>> sorted(signs_of(["sum", "it", "up"]))
    ['^sum', '^sum it', 'it', 'it up', 'sum', 'sum it', 'up']
    """
    plain = _plain(words)
    signs = set(plain)
    signs.update([f"{one} {next_}" for one, next_ in pairwise(plain)])
    if plain:
        signs.add("^" + plain[0])
        signs.add("^" + " ".join(plain[:2]))
    return signs


@dataclass(frozen=True, slots=True)
class Places:
    """Where each known sign stands: what `signs_of` gives is looked up without making a string of every pair."""

    single: Mapping[str, int]
    pairs: Mapping[str, Mapping[str, int]]

    @classmethod
    def of_signs(cls, signs: Iterable[str]) -> Self:
        """Of these signs, in order."""
        single: dict[str, int] = {}
        pairs: dict[str, dict[str, int]] = {}
        for place, sign in enumerate(signs):
            one, between, next_ = sign.partition(" ")
            if between:
                pairs.setdefault(one, {})[next_] = place
            else:
                single[one] = place
        return cls(single, pairs)

    def of(self, words: list[str]) -> list[int]:
        """The places of the known signs of these words, ascending."""
        plain = _plain(words)
        if not plain:
            return []
        opening = "^" + plain[0]
        found = set(map(self.single.get, plain))
        found.add(self.single.get(opening))
        following = map(self.pairs.get, [*plain[:-1], opening])
        found.update([known.get(next_) for known, next_ in zip(following, [*plain[1:], *plain[1:2]], strict=False) if known])
        found.discard(None)
        return sorted(cast("set[int]", found))


def shape(text: str, words: list[str]) -> tuple[float, ...]:
    """Nine numbers between 0 and about 1, named in `SHAPE`; `words` are those of the text."""
    head = text[:400]
    numbers = sum(map(str.isdigit, words))
    lines = text.count("\n")
    return (
        log1p(len(text)) / 8,
        min(lines, 20) / 20,
        min(1.0, 5 * numbers / (len(words) or 1)),
        0.0 if head.isascii() else min(1.0, 2 * (len(head.encode("utf-8", "surrogatepass")) - len(head)) / len(head)),
        float("```" in text),
        float(
            (numbers > 0 or "=" in head or "(" in head)
            and _operator.search(head) is not None
            and _formula.search(head.lower()) is not None
        ),
        float(text.endswith("?")),
        float('"' in text or "\u201c" in text),
        float(lines > 1 and _options.search(text) is not None),
    )
