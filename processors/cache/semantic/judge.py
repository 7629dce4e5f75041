"""Whether two answers say the same: the word on a kept answer once the question has an answer of its own.

Strategy
1. What is equal but for the first letter's case, spaces within one line and the mark at the end is `same`: it is proven, the kept
   answer would have done.
2. Calls of tools, and answers that are JSON, are equal as values or `different`.
3. Numbers, dates, units, negations and names that differ make `different`; of long answers, where they come in any order, only
   what never varies (numbers and dates), as sets. A short answer that stands whole in one twice as long is left open, and so is
   one that tells the same words in another order: who lent whom.
4. What is left goes by the cosine of the two: `alike` from `ALIKE_FROM` on, `different` below `DIFFERENT_BELOW`, open between.

The judge leans to `different`, which costs calls. What it calls `alike` is not proven: `decide.observe` lets it open nothing.
"""

import re
import unicodedata
from typing import Any, Final

import orjson

from processors.cache.semantic.facts import Facts, facts
from processors.cache.semantic.guards import Reason, mismatches
from processors.embedding import Embedder
from schemas.calls import Output
from schemas.semantic import Agreement

ALIKE_FROM: Final = 0.9
DIFFERENT_BELOW: Final = 0.8
"""Chosen, not fitted. Of the answers in `tests/unit/cache/semantic/answers.py` those in other words lie at 0.82 to 1.00
(`wordllama`), those that say something else at 0.03 to 0.75, or above, and then step 3 parts them."""
_SHORT_WORDS: Final = 40
"""Up to here two answers are sentences, of which each word counts; longer ones say the same in another order."""
_MAX_CHARACTERS: Final = 20_000
_FIRM = frozenset({Reason.NUMBERS, Reason.UNITS, Reason.DATES, Reason.NEGATION, Reason.NAMES, Reason.OPPOSITES})
_SPACE = re.compile(r"\s+")


def judge(kept: Output, own: Output, embedder: Embedder) -> Agreement | None:
    """What the kept answer is worth beside the own one; None when that cannot be told, and nothing is to be learnt.

    `embedder` makes vectors of the answers. The order of the two does not matter.
    """
    if kept.tool_calls or own.tool_calls:
        return _equal(_calls(kept), _calls(own))
    if not kept.content or not own.content:
        return None
    if _plain(kept.content) == _plain(own.content):
        return Agreement.SAME
    values = _parsed(kept.content), _parsed(own.content)
    if any(isinstance(value, dict | list) for value in values):
        return _equal(*values)
    if max(len(kept.content), len(own.content)) > _MAX_CHARACTERS:
        return None
    return _judged(kept.content, own.content, embedder)


def _judged(kept: str, own: str, embedder: Embedder) -> Agreement | None:
    a, b = facts(kept), facts(own)
    if _part_of(a, b) or _part_of(b, a):
        return None
    if _differ(a, b):
        return Agreement.DIFFERENT
    one, other = embedder.embed([kept, own])
    cosine = float(one @ other)
    if cosine < DIFFERENT_BELOW:
        return Agreement.DIFFERENT
    if cosine < ALIKE_FROM or (_short(a, b) and Reason.ORDER in mismatches(a, b)):
        return None
    return Agreement.ALIKE


def _short(a: Facts, b: Facts) -> bool:
    return max(len(a.words), len(b.words)) <= _SHORT_WORDS


def _differ(a: Facts, b: Facts) -> bool:
    if _short(a, b):
        return not _FIRM.isdisjoint(mismatches(a, b))
    return {value for value, _ in a.numbers} != {value for value, _ in b.numbers} or a.dates != b.dates


def _part_of(a: Facts, b: Facts) -> bool:
    """Whether all that the first says stands in the second, which is much longer and negates as often."""
    return 2 * len(a.words) <= len(b.words) and set(a.content) <= set(b.content) and a.negations == b.negations


def _equal(one: object, other: object) -> Agreement:
    """As JSON: to Python, 1 equals true."""
    one, other = (orjson.dumps(value, option=orjson.OPT_SORT_KEYS) for value in (one, other))
    return Agreement.SAME if one == other else Agreement.DIFFERENT


def _plain(text: str) -> str:
    """In longer texts, such as programs, case and spacing may matter."""
    plain = unicodedata.normalize("NFC", text).strip().rstrip(".!")
    if "\n" in plain:
        return plain
    plain = _SPACE.sub(" ", plain)
    return plain[:1].lower() + plain[1:]


def _calls(output: Output) -> list[tuple[str, Any]]:
    return [(call.name, _parsed(call.arguments_json)) for call in output.tool_calls]


def _parsed(text: str) -> Any:
    """The value of JSON text, else the text."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text
