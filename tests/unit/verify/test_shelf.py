"""Promise of the shelf: what was put comes back, in order, from several shelves at once, however much it is."""

import pytest

from streams.verify import shelf as shelf_module
from streams.verify.facts import TOTAL, TYPES, About, Adjusted, Amounts, Final, Hit, Spent, Stated, request
from streams.verify.shelf import COMPARTMENTS, Facts, Shelf, by_key

SAMPLES = (
    Final(1, 2**40, 1_700_000_000_000_000, True, None),
    Final(1, 3, 4, False, "call"),
    Adjusted(0, 7, 1, "4:acme/r1", 1, -3, 5, None, True),
)


def test_facts_come_back_as_they_were_in_their_order() -> None:
    about = request("ten\u0000ant", "unicode \u2713 / \n id")
    with Shelf() as shelf:
        for fact in SAMPLES:
            shelf.put(about, fact)
        assert list(by_key(shelf)) == [(about, list(SAMPLES))]
        shelf.put(about, SAMPLES[0])
        assert dict(by_key(shelf))[about][-1] == SAMPLES[0]


def test_every_type_of_fact_has_a_number_of_its_own() -> None:
    assert len(set(TYPES)) == len(TYPES)


def test_shelves_are_joined_by_key() -> None:
    one, other = request("a", "1"), request("a", "2")
    with Shelf() as left, Shelf() as right:
        left.put(one, SAMPLES[0])
        right.put(one, SAMPLES[1])
        right.put(other, SAMPLES[2])
        assert dict(by_key(left, right)) == {one: [SAMPLES[0], SAMPLES[1]], other: [SAMPLES[2]]}


def test_much_spills_to_disk_and_comes_back() -> None:
    count = COMPARTMENTS * 4_000
    with Shelf() as shelf:
        for i in range(count):
            shelf.put(request("tenant" + 150 * "t", str(i % 50_000)), Hit(0, i))
        assert all(file._rolled for file in shelf._files)
        found = {about: [fact.offset for fact in facts] for about, facts in by_key(shelf)}
    assert len(found) == 50_000
    assert all(offsets == sorted(offsets) for offsets in found.values())
    assert sum(map(len, found.values())) == count


def test_facts_of_a_total_are_merged() -> None:
    about = About(TOTAL, "key")
    with Shelf() as shelf:
        for i in range(1_000):
            shelf.put(about, Spent(0, i, Amounts(calls=1, cost_nanousd=2**53)))
            shelf.put(about, Stated(1, i, Amounts(calls=i + 1)))
        spent, stated = dict(by_key(shelf))[about]
    assert spent == Spent(0, 999, Amounts(calls=1_000, cost_nanousd=2**53 * 1_000), events=1_000)
    assert stated == Stated(1, 999, Amounts(calls=1_000))


def test_a_large_compartment_comes_back_in_parts_with_each_key_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shelf_module, "_AT_ONCE_BYTES", 2_000)
    count, at_once = COMPARTMENTS * 100, 0
    with Shelf() as shelf, Shelf() as witnesses:
        for i in range(count):
            shelf.put(request("tenant", str(i)), Hit(0, i))
            witnesses.put(request("tenant", str(i)), Hit(1, i))
        found = list(by_key(shelf, witnesses))
        for number in range(COMPARTMENTS):
            parts = 1 + (shelf.size(number) + witnesses.size(number)) // 2_000
            assert parts > 1
            for part in range(parts):
                facts: Facts = {}
                shelf.compartment(number, facts, part=part, of=parts)
                at_once = max(at_once, len(facts))
    assert len(found) == count
    assert all(facts == [Hit(0, facts[0].offset), Hit(1, facts[0].offset)] for _, facts in found)
    assert at_once < 100, "a pass holds a part of the keys of its compartment, not all"
