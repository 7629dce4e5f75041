"""What a text looks like, without its subject: lengths, digits, formulae, negations, the shape of its answer options.

Some dozen numbers, read in one pass of a bounded window, so that a prompt of a book's length costs no more than a page.
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import pairwise
from math import log1p

from processors.route.quality.lexicon import GROUPS

VERSION = 2
"""Stands in every fitted model. Raise it with any change here: coefficients of one version mean nothing to another."""
HEAD_CHARS = 400
TAIL_CHARS = 400

_OPTION = re.compile(r"\n\(?[A-J][.)] ?")
_ANSWER = "Answer:"
_WORD = re.compile(r"[a-zA-Z'\u00c0-\uffff]+")
_DIGIT = re.compile(r"\d")
_NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?")
_OPERATORS = "=+*/^<>"
_EMPTY: frozenset[str] = frozenset()
_CODE = ("{", "}", ";", "()", "==", "def ", "return ")

_GROUPS_OF = {
    word: tuple(i for i, group in enumerate(GROUPS.values()) if word in group) for word in frozenset().union(*GROUPS.values())
}

_STEM = (
    "chars", "words", "word_chars", "long", "longer", "short", "letters", "distinct",
    "numbers", "number_share", "digits", "decimals", "dollars", "percents", "operators", "parentheses", "non_ascii", "quotes",
    "commas", "sentences", "sentence_words", "bars", "blank", "question", "colon", "following", "shouted", "code",
)  # fmt: skip
_OPTIONS = (
    "options", "option_chars", "option_spread", "option_digits", "option_wordless",
    "option_closest", "option_echo", "option_others",
    "option_negation", "option_word_chars",
    "option_sentences", "option_operators",
)  # fmt: skip
NAMES = (*_STEM, *GROUPS, *_OPTIONS)


def of(text: str) -> tuple[float, ...]:
    """The numbers of a text, in the order of `NAMES`. Counts come as logarithms or shares: no text is far from all others."""
    stem, *options = _OPTION.split(_window(text).rstrip().removesuffix(_ANSWER).rstrip())
    words = _WORD.findall(stem.lower())
    known = frozenset(words)
    return (*_of_stem(stem, words, known, len(text)), *_of_words(words), *_of_options(options, known))


def _window(text: str) -> str:
    """The head and the tail of a long text: what it is about, and what is asked in the end."""
    return text if len(text) <= HEAD_CHARS + TAIL_CHARS else f"{text[:HEAD_CHARS]} {text[-TAIL_CHARS:]}"


def _of_stem(stem: str, words: Sequence[str], known: frozenset[str], chars: int) -> tuple[float, ...]:
    count = stem.count
    n = len(words) or 1
    sizes = sorted(map(len, words))
    numbers = _NUMBER.findall(stem)
    sentences = count(". ") + count("? ") + 1
    return (
        log1p(chars),
        log1p(n),
        sum(sizes) / n,
        (len(sizes) - bisect_left(sizes, 8)) / n,
        (len(sizes) - bisect_left(sizes, 11)) / n,
        bisect_right(sizes, 3) / n,
        log1p(bisect_right(sizes, 1)),
        len(known) / n,
        log1p(len(numbers)),
        len(numbers) / (n + len(numbers)),
        log1p(sum(map(len, numbers)) / (len(numbers) or 1)),
        log1p(sum(["." in number for number in numbers])),
        log1p(count("$")),
        log1p(count("%") + count("percent")),
        log1p(sum(map(count, _OPERATORS))),
        log1p(count("(")),
        0.0 if stem.isascii() else log1p(len(stem.encode(errors="replace")) - len(stem)),
        log1p(count('"') + count("“") + count("'")),
        count(",") / n,
        log1p(sentences),
        log1p(n / sentences),
        log1p(count("|")),
        float("__" in stem),
        float(stem.endswith("?")),
        float(stem.endswith(":")),
        float("following" in known),
        float(" NOT " in stem or "EXCEPT" in stem or "LEAST" in stem),
        float(any(map(stem.__contains__, _CODE))),
    )


def _of_words(words: Sequence[str]) -> tuple[float, ...]:
    counts = [0.0] * len(GROUPS)
    for groups in filter(None, map(_GROUPS_OF.get, words)):
        for group in groups:
            counts[group] += 1
    root = (len(words) or 1) ** 0.5
    return tuple([count / root for count in counts])


def _shared(one: frozenset[str], other: frozenset[str]) -> float:
    """The share of the words of both that stand in both."""
    both = len(one & other)
    return both / (len(one) + len(other) - both) if both else 0.0


def _of_options(options: Sequence[str], stem: frozenset[str]) -> tuple[float, ...]:
    if not options:
        return (0.0,) * len(_OPTIONS)
    n = len(options)
    joined = " ".join(options)
    sizes = [len(option) for option in options]
    lowered = list(map(str.lower, options))
    words = list(map(frozenset, map(str.split, lowered)))
    widths = [len(option) or 1 for option in words]
    distinct = _EMPTY.union(*words)
    last = lowered[-1]
    negation = GROUPS["negation"]
    return (
        1.0,
        log1p(len(joined) / n),
        log1p(max(sizes)) - log1p(min(sizes)),
        sum([_DIGIT.search(option) is not None for option in options]) / n,
        sum([not option.islower() for option in lowered]) / n,
        max([_shared(a, b) for a, b in pairwise(words)], default=0.0),
        sum([len(option & stem) / width for option, width in zip(words, widths, strict=True)]) / n,
        float("of the above" in last or "none of" in last or "both" in last),
        n - sum([negation.isdisjoint(option) for option in words]),
        sum(map(len, distinct)) / (len(distinct) or 1),
        sum([option.endswith(".") for option in options]) / n,
        log1p(sum(map(joined.count, _OPERATORS)) + joined.count("(")),
    )
