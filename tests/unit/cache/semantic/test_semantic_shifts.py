import math
from itertools import count

import pytest

from processors.cache.semantic.decide import NEW_ENTRY, NEW_SCOPE, observe
from schemas.semantic import Agreement, Compared
from streams.stores.semantic_shifts import Shifts

SCOPE = b"s" * 32
_numbers = count()


def compared(agreement: Agreement = Agreement.SAME, *, score: float = 1.0, request_id: str | None = None) -> Compared:
    return Compared(request_id or f"r{next(_numbers)}", score, agreement)


def test_a_comparison_moves_its_entry_and_its_scope_and_nothing_else():
    shifts = Shifts(entries=10, scopes=10)
    shifts.learn("k", SCOPE, compared(Agreement.DIFFERENT))
    assert shifts.of("k", SCOPE) == (observe(NEW_ENTRY, 1.0, right=False), observe(NEW_SCOPE, 1.0, right=False))
    assert shifts.of("other", SCOPE)[0] == NEW_ENTRY
    assert shifts.of("k", b"o" * 32)[1] == NEW_SCOPE


def test_what_was_not_compared_for_longest_is_forgotten():
    shifts = Shifts(entries=2, scopes=1)
    for key in ("a", "b", "a", "c"):
        shifts.learn(key, key.encode(), compared())
    assert shifts.of("b", b"b") == (NEW_ENTRY, NEW_SCOPE)
    assert shifts.of("a", b"a")[0].seen == 2
    assert shifts.of("c", b"c")[1].seen == 1


def test_another_answer_under_the_key_starts_anew():
    shifts = Shifts(entries=2, scopes=2)
    shifts.learn("k", SCOPE, compared(Agreement.DIFFERENT))
    shifts.drop("k")
    shifts.drop("nobody")
    assert shifts.of("k", SCOPE)[0] == NEW_ENTRY
    assert shifts.of("k", SCOPE)[1].seen == 1


def test_what_was_only_judged_opens_no_entry_and_counts_in_full_for_its_scope():
    shifts = Shifts(entries=10, scopes=10)
    for _ in range(20):
        shifts.learn("k", SCOPE, compared(Agreement.ALIKE))
    assert shifts.of("k", SCOPE)[0].mean == 0
    assert shifts.of("k", SCOPE)[1].mean > 0
    shifts.learn("k", SCOPE, compared(Agreement.SAME))
    assert shifts.of("k", SCOPE)[0].mean > 0


@pytest.mark.parametrize(
    "taught",
    [
        pytest.param([compared(Agreement.UNKNOWN)], id="a word of a later version"),
        pytest.param([compared(score=math.nan)], id="no score"),
        pytest.param([compared(score=math.inf)], id="no score either"),
    ],
)
def test_what_cannot_be_understood_teaches_nothing(taught: list[Compared]):
    shifts = Shifts(entries=10, scopes=10)
    for each in taught:
        shifts.learn("k", SCOPE, each)
    assert shifts.of("k", SCOPE) == (NEW_ENTRY, NEW_SCOPE)


def test_a_comparison_that_stands_twice_in_the_log_counts_once_and_a_reading_from_the_start_counts_anew():
    shifts = Shifts(entries=10, scopes=10)
    for _ in range(2):
        shifts.learn("k", SCOPE, compared(request_id="r"))
    once = shifts.of("k", SCOPE)
    assert once[0].seen == 1
    shifts.clear()
    assert shifts.of("k", SCOPE) == (NEW_ENTRY, NEW_SCOPE)
    shifts.learn("k", SCOPE, compared(request_id="r"))
    assert shifts.of("k", SCOPE) == once
