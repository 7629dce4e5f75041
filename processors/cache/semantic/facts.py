"""What of a text must be met again in another text before an answer to one may answer the other."""

import re
import unicodedata
from dataclasses import dataclass

from processors.cache.semantic.words import (
    ALIASES,
    ALWAYS_UNITS,
    DAYS,
    FUNCTION_WORDS,
    MONTHS,
    NEGATION_SIGNS,
    NEGATIONS,
    NUMERALS,
    ORDINALS,
    SHY_MONTHS,
    UNITS,
)

_TOKEN = re.compile(r"[^\W_]+(?:[.,':/-][^\W_]+)*|[$€£¥₹%°+]|[^\w\s]")
_WORD = re.compile(r"[^\W_]+")
_GROUPED = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_MEASURE = re.compile(r"(\d+(?:[.,:/-]\d+)*)([^\W\d_]+)")
_QUOTED = re.compile(r"[\"“”„«»]+([^\"“”„«»]+)[\"“”„«»]+|(?<!\w)'([^'\n]{2,}?)'(?!\w)|`([^`]+)`")
_PLAIN = {0x2018: "'", 0x2019: "'"}
"""Curly apostrophes and single quotes, as the straight one."""
_CURRENCY = frozenset("$€£¥₹")
_SHORT_FORMS = {"won't": "will not", "can't": "can not", "cannot": "can not", "ain't": "is not"}
_SIGNS = frozenset("-\u2212<>≤≥^*\u00d7/÷=~")
"""Before a number these belong to it."""
_OPERATORS = frozenset("+*^<>=≤≥≠±\u00d7÷√#@")
_OPENING = frozenset('.?!:"“')
"""After these a capital says nothing."""
_ORDINAL_ENDS = frozenset({"st", "nd", "rd", "th"})


@dataclass(frozen=True, slots=True)
class Facts:
    """`words` are the words in order, lower case, names brought to one form; all else is taken from the text by closed rules."""

    words: tuple[str, ...]
    content: tuple[str, ...]
    numbers: tuple[tuple[str, str], ...]
    units: frozenset[str]
    dates: frozenset[str]
    negations: int
    quoted: tuple[tuple[str, ...], ...]
    names: frozenset[str]


def facts(text: str) -> Facts:
    """The facts of a text. Same text, same facts; linear in its length.

    >>> facts("Transfer $1,000 to Bob").numbers, facts("Transfer $1,000 to Bob").names
    ((('1000', '$'),), frozenset({'bob'}))
    """
    text = _GROUPED.sub("", unicodedata.normalize("NFKC", text)).translate(_PLAIN)
    tokens = _TOKEN.findall(text)
    lowered = [token.lower() for token in tokens]
    words, numbers = _words(lowered), _numbers(lowered)
    return Facts(
        words=words,
        content=tuple(stem(word) for word in words if word not in FUNCTION_WORDS),
        numbers=numbers,
        units=_units(lowered, numbers),
        dates=_dates(tokens, lowered),
        negations=_negations(words, text),
        quoted=tuple(_words([t.lower() for t in _TOKEN.findall("".join(found))]) for found in _QUOTED.findall(text)),
        names=_names(tokens),
    )


def stem(word: str) -> str:
    """The word without the endings of plurals: enough to meet it again, too little to take two words for one."""
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    return word


def _words(lowered: list[str]) -> tuple[str, ...]:
    words: list[str] = []
    for token in lowered:
        if token.isalnum():
            words.append(ALIASES.get(token, token))
        elif token in ALIASES:
            words.append(ALIASES[token])
        elif "'" in token:
            words.extend(_short_form(token))
        else:
            words.extend(ALIASES.get(part, part) for part in _WORD.findall(token))
    return tuple(words)


def _short_form(token: str) -> list[str]:
    if token in _SHORT_FORMS:
        return _SHORT_FORMS[token].split()
    if token.endswith("n't"):
        return [token[:-3], "not"]
    if token.endswith("'s"):
        return [token[:-2]]
    return _WORD.findall(token)


def _numbers(lowered: list[str]) -> tuple[tuple[str, str], ...]:
    """Every token with a digit in it, in order, each with its unit or currency, and the numbers and ordinals that are words."""
    found: list[tuple[str, str]] = []
    for at, token in enumerate(lowered):
        value, unit = NUMERALS.get(token) or ORDINALS.get(token), ""
        if value is None:
            if token.isalpha() or not any(map(str.isdigit, token)):
                continue
            value = token
            if measure := _MEASURE.fullmatch(token):
                number, end = measure.groups()
                if end in _ORDINAL_ENDS:
                    value = f"{number}th"
                elif end in UNITS:
                    value, unit = number, UNITS[end]
        if not unit and at + 1 < len(lowered):
            unit = UNITS.get(lowered[at + 1], "")
        if at and lowered[at - 1] in _SIGNS:
            value = lowered[at - 1] + value
        found.append((value, unit or _currency_before(lowered, at)))
    return tuple(found)


def _currency_before(lowered: list[str], at: int) -> str:
    """The currency in "$ 5", "Rs 5" and "Rs. 5", else nothing."""
    before = at - 2 if at > 1 and lowered[at - 1] == "." else at - 1
    unit = UNITS.get(lowered[before], "") if before >= 0 else ""
    return unit if unit in _CURRENCY else ""


def _units(lowered: list[str], numbers: tuple[tuple[str, str], ...]) -> frozenset[str]:
    """The units that stand with a number, those that say something without one, and signs: "C" is neither "C++" nor "C#"."""
    named = {unit for word in lowered if (unit := UNITS.get(word)) and unit in ALWAYS_UNITS}
    return frozenset(named | {unit for _, unit in numbers if unit} | _OPERATORS.intersection(lowered))


def _dates(tokens: list[str], lowered: list[str]) -> frozenset[str]:
    found = {date for word in lowered if (date := MONTHS.get(word) or DAYS.get(word))}
    for at, word in enumerate(lowered):
        if word in SHY_MONTHS and at and tokens[at][0].isupper():
            found.add(SHY_MONTHS[word])
    return frozenset(found)


def _negations(words: tuple[str, ...], text: str) -> int:
    """How often the text negates; the "or not" that ends a question does not."""
    count = sum(word in NEGATIONS for word in words) - sum(
        words[at] == "or" and words[at + 1] == "not" for at in range(len(words) - 1)
    )
    return count if text.isascii() else count + sum(sign in NEGATION_SIGNS for sign in text)


def _names(tokens: list[str]) -> frozenset[str]:
    """Capitalised words inside a sentence, and words with a capital inside. None where all, or nearly all, is capitalised."""
    starts = [t for t in tokens if t[0].isalpha()]
    inner = [t for t in starts[1:] if len(t) > 1 and t.lower() not in FUNCTION_WORDS]
    if len(inner) > 2 and sum(t[0].isupper() for t in inner) > 0.8 * len(inner):
        return frozenset()
    names: set[str] = set()
    fresh = True
    for piece in tokens:
        if not piece[0].isalnum():
            fresh = fresh or piece in _OPENING
            continue
        inside = any(map(str.isupper, piece[1:]))
        if inside or (piece[0].isupper() and not fresh):
            lowered = piece.lower().removesuffix("'s")
            if lowered not in FUNCTION_WORDS or (inside and lowered in {"us", "it", "who", "may", "mine"}):
                names.update(ALIASES.get(part, part) for part in ([lowered] if lowered in ALIASES else _WORD.findall(lowered)))
        fresh = False
    return frozenset(name for name in names if len(name) > 1 and not name.isdigit())
