"""The parts of the cache that wait for nobody: the first level's bounds, and the breaker."""

import pytest

from streams.stores.breaker import Breaker
from streams.stores.recent import Recent


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_the_least_recently_used_goes_first(clock):
    recent = Recent(clock, entries=2, max_bytes=100, max_age_s=10)
    recent.put("a", 1, 5)
    recent.put("b", 2, 5)
    assert recent.get("a") == 1
    recent.put("c", 3, 5)
    assert [recent.get(key) for key in "abc"] == [1, None, 3]
    assert (len(recent), recent.bytes) == (2, 10)


def test_bytes_are_bounded_and_no_entry_takes_over_a_quarter(clock):
    recent = Recent(clock, entries=100, max_bytes=100, max_age_s=10)
    recent.put("huge", 0, 26)
    assert recent.get("huge") is None
    for i in range(20):
        recent.put(str(i), i, 25)
        assert recent.bytes <= 100
    assert [i for i in range(20) if recent.get(str(i)) is not None] == [16, 17, 18, 19]


def test_age_is_bounded_and_a_new_value_replaces(clock):
    recent = Recent(clock, entries=10, max_bytes=100, max_age_s=10)
    recent.put("a", 1, 5)
    clock.now = 9
    recent.put("b", 2, 5)
    recent.put("b", 3, 7)
    clock.now = 10
    assert [recent.get("a"), recent.get("b")] == [None, 3]
    assert recent.bytes == 7


def test_no_entries_means_none_are_kept(clock):
    recent = Recent(clock, entries=0, max_bytes=100, max_age_s=10)
    recent.put("a", 1, 1)
    assert (recent.get("a"), recent.bytes) == (None, 0)


def asked(breaker: Breaker, clock: Clock, times: list[float], *, well: bool) -> list[float]:
    """Which of the times the store was asked at, answering alike each time."""
    let_through = []
    for clock.now in times:
        if breaker.allows():
            let_through.append(clock.now)
            breaker.succeeded() if well else breaker.failed()
    return let_through


def test_a_dead_store_is_asked_less_and_less(clock):
    """Two failures open it for 1 s; each probe that fails doubles the wait, up to 15 s."""
    breaker = Breaker(clock)
    assert asked(breaker, clock, [i / 10 for i in range(600)], well=False) == [0, 0.1, 1.1, 3.1, 7.1, 15.1, 30.1, 45.1]


def test_one_success_closes_it(clock):
    breaker = Breaker(clock)
    asked(breaker, clock, [0, 0.1], well=False)
    assert breaker.open
    assert asked(breaker, clock, [0.5, 1.2, 1.3, 1.4], well=True) == [1.2, 1.3, 1.4]
    assert not breaker.open


def test_a_single_failure_does_not_open_it(clock):
    breaker = Breaker(clock)
    breaker.failed()
    breaker.succeeded()
    breaker.failed()
    assert breaker.allows()


def test_only_one_probe_goes_through_at_a_time(clock):
    breaker = Breaker(clock)
    breaker.failed()
    breaker.failed()
    clock.now = 1.0
    assert [breaker.allows(), breaker.allows(), breaker.allows()] == [True, False, False]
