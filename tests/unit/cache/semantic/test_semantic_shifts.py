from processors.cache.semantic.decide import NEW_ENTRY, NEW_SCOPE, observe
from streams.stores.semantic_shifts import Shifts

SCOPE = b"s" * 32


def test_a_comparison_moves_its_entry_and_its_scope_and_nothing_else():
    shifts = Shifts(entries=10, scopes=10)
    shifts.learn("k", SCOPE, 1.0, right=False)
    assert shifts.of("k", SCOPE) == (observe(NEW_ENTRY, 1.0, right=False), observe(NEW_SCOPE, 1.0, right=False))
    assert shifts.of("other", SCOPE)[0] == NEW_ENTRY
    assert shifts.of("k", b"o" * 32)[1] == NEW_SCOPE


def test_what_was_not_compared_for_longest_is_forgotten():
    shifts = Shifts(entries=2, scopes=1)
    for key in ("a", "b", "a", "c"):
        shifts.learn(key, key.encode(), 1.0, right=True)
    assert shifts.of("b", b"b") == (NEW_ENTRY, NEW_SCOPE)
    assert shifts.of("a", b"a")[0].seen == 2
    assert shifts.of("c", b"c")[1].seen == 1


def test_another_answer_under_the_key_starts_anew():
    shifts = Shifts(entries=2, scopes=2)
    shifts.learn("k", SCOPE, 1.0, right=False)
    shifts.drop("k")
    shifts.drop("nobody")
    assert shifts.of("k", SCOPE)[0] == NEW_ENTRY
    assert shifts.of("k", SCOPE)[1].seen == 1
