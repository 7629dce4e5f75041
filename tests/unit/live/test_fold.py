"""The live view: what each record changes, what each audience is told, and that memory stays bounded."""

from typing import Any

import pytest

from processors.live import fold
from processors.live.fold import Live
from processors.live.scope import MOST_REQUESTS, NEW_REQUESTS, Scope, Surroundings
from processors.live.window import WINDOW_S
from schemas.outcomes import CacheState, ErrorInfo, ResponseStatus
from streams.decoding import dumps
from tests.unit.live.records import T0, T0_S, at, letter, response, total

AROUND = Surroundings([], None)


def live(*tenants: str | None) -> Live:
    """A view that these audiences watch; None is those who see everybody's."""
    made = Live()
    made.advance(T0)
    for tenant in tenants:
        scope = made.open(tenant)
        scope.update(T0, AROUND)
        scope.anew = False
    return made


def minute(scope: Scope, seconds: float = 1.0) -> dict[str, Any]:
    return scope.snapshot(at(seconds), AROUND)["minute"]


def test_an_answer_counts_in_its_second() -> None:
    view = live(None)
    view.answered(response(-3), T0)
    view.answered(response(-3, took_ms=900, status=ResponseStatus.ERROR, error=ErrorInfo("overloaded", "later")), T0)
    series = view.open(None).snapshot(T0, AROUND)["series"]
    assert len(series["answered"]) == WINDOW_S
    place = T0_S - 3 - series["from_s"]
    assert (series["answered"][place], series["failed"][place]) == (2, 1)
    assert series["p95_ms"][place] == pytest.approx(200, rel=0.05), "how long a failure took is no latency"
    assert sum(series["answered"]) == 2
    assert series["p50_ms"][place - 1] is None


def test_the_second_that_has_begun_is_told_when_it_is_over() -> None:
    view = live(None)
    view.answered(response(0), T0)
    scope = view.open(None)
    assert sum(scope.snapshot(at(0.9), AROUND)["series"]["answered"]) == 0
    assert scope.snapshot(at(1.0), AROUND)["series"]["answered"][-1] == 1


def test_a_minute_sums_up_what_clients_felt() -> None:
    view = live(None)
    for i in range(90):
        view.answered(response(-i, took_ms=100 if i % 10 else 2_000), T0)
    told = minute(view.open(None), 1.0)
    assert (told["answered"], told["requests_per_s"]) == (60, 1.0)
    assert told["p50_ms"] == pytest.approx(100, rel=0.05)
    assert told["p95_ms"] == pytest.approx(2_000, rel=0.05)


@pytest.mark.parametrize(
    ("state", "asked", "served"),
    [
        (CacheState.NONE, 0, 0),
        (CacheState.MISS, 1, 0),
        (CacheState.HIT, 1, 1),
        (CacheState.SEMANTIC, 1, 1),
        (CacheState.SHARED, 1, 1),
    ],
    ids=str,
)
def test_hits_are_a_share_of_those_that_asked_the_cache(state: CacheState, asked: int, served: int) -> None:
    view = live(None)
    view.answered(response(cache=state), T0)
    told = minute(view.open(None))
    assert (told["cache_asked"], told["cache_served"]) == (asked, served)


def test_a_notice_is_no_answer() -> None:
    view = live(None)
    view.answered(response(final=False, status=ResponseStatus.DUPLICATE), T0)
    assert minute(view.open(None))["answered"] == 0
    assert not view.open(None).requests


def test_a_tenant_sees_its_own_alone() -> None:
    view = live(None, "acme", "globex")
    view.answered(response(-1), T0)
    view.answered(response(-2, tenant="globex", request_id="theirs"), T0)
    view.totalled(b"a", total(7), T0)
    view.totalled(b"g", total(1_000, tenant="globex", model="gpt-secret"), T0)
    view.died(letter("globex"))
    view.died(letter(None))
    told = view.open("acme").snapshot(at(1), AROUND)
    assert b"globex" not in dumps(told)
    assert b"theirs" not in dumps(told)
    assert b"gpt-secret" not in dumps(told)
    assert [entry.tenant for entry in told["requests"]] == ["acme"]
    assert told["minute"]["answered"] == 1
    assert told["spend"]["day_nanousd"] == 7
    assert told["dead_letters"] == []
    everybody = view.open(None).snapshot(at(1), AROUND)
    assert everybody["minute"]["answered"] == 2
    assert everybody["spend"]["day_nanousd"] == 1_007
    assert [entry.tenant for entry in everybody["dead_letters"]] == ["globex", None]


def test_who_comes_later_sees_the_same() -> None:
    early, late = live(None, "acme"), live()
    for view in (early, late):
        for i in range(50):
            view.answered(response(-i, tenant="acme" if i % 3 else "globex"), T0)
            view.totalled(b"%d" % (i % 4), total(i, -i / 2, tenant="acme" if i % 2 else "globex"), T0)
        view.died(letter())
    for tenant in (None, "acme"):
        assert late.open(tenant).snapshot(at(1), AROUND) == early.open(tenant).snapshot(at(1), AROUND)


def test_nothing_of_a_prompt_an_answer_or_a_raw_record_is_told() -> None:
    view = live(None)
    view.died(letter(message="x" * 10_000))
    (dead,) = view.open(None).snapshot(at(1), AROUND)["dead_letters"]
    assert b"secret prompt" not in dumps(dead)
    assert len(dead.message) == 500


def test_an_answer_dated_ahead_counts_now_and_one_of_long_ago_only_in_the_list() -> None:
    view = live(None)
    view.answered(response(3_600), T0)
    view.answered(response(-WINDOW_S - 1), T0)
    scope = view.open(None)
    assert minute(scope)["answered"] == 1
    assert len(scope.requests) == 2


def test_updates_tell_what_is_new_and_nothing_twice() -> None:
    view = live(None)
    scope = view.open(None)
    view.answered(response(0.2), at(0.3))
    first = scope.update(at(1), AROUND)
    assert (first["series"]["from_s"], first["series"]["answered"]) == (T0_S, [1])
    assert [entry.request_id for entry in first["requests"]] == ["r0.2"]
    second = scope.update(at(2), AROUND)
    assert (second["series"]["from_s"], second["series"]["answered"]) == (T0_S + 1, [0])
    assert "requests" not in second
    assert "health" not in second
    view.died(letter())
    assert len(scope.update(at(3), AROUND)["dead_letters"]) == 1


def test_an_answer_that_is_read_late_tells_its_second_again() -> None:
    view = live(None)
    scope = view.open(None)
    scope.update(at(10), AROUND)
    view.answered(response(4), at(10))
    series = scope.update(at(11), AROUND)["series"]
    assert series["from_s"] == T0_S + 4
    assert series["answered"] == [1, 0, 0, 0, 0, 0, 0]


def test_of_very_many_answers_an_update_tells_the_newest() -> None:
    view = live(None)
    for i in range(MOST_REQUESTS):
        view.answered(response(i / 1_000), at(1))
    told = view.open(None).update(at(1), AROUND)["requests"]
    assert [entry.n for entry in told] == list(range(MOST_REQUESTS - NEW_REQUESTS + 1, MOST_REQUESTS + 1))


def test_surroundings_are_told_when_they_change() -> None:
    scope = live(None).open(None)
    health = [{"deployment": "a", "circuit": "open"}]
    assert scope.update(at(1), Surroundings(health, None))["health"] == health
    assert "health" not in scope.update(at(2), Surroundings(list(health), None))
    assert scope.update(at(3), Surroundings(health, []))["lag"] == []


def test_what_is_read_anew_replaces_what_was_known() -> None:
    view = live(None)
    view.answered(response(-1), T0)
    view.totalled(b"k", total(7), T0)
    view.died(letter())
    view.forget()
    scope = view.open(None)
    assert scope.anew, "the audience is told everything again"
    view.answered(response(-1), T0)
    view.totalled(b"k", total(7), T0)
    told = scope.snapshot(at(1), AROUND)
    assert (told["minute"]["answered"], told["spend"]["day_nanousd"], told["dead_letters"]) == (1, 7, [])


def test_memory_does_not_grow_with_traffic_or_tenants(monkeypatch: pytest.MonkeyPatch) -> None:
    view = live(None, "t1")
    for i in range(3_000):
        view.answered(response(i / 10, tenant=f"t{i}", request_id=f"r{i}"), at(i / 10))
        view.advance(at(i / 10))
    for _ in range(2_000):
        view.died(letter())
    assert set(view.scopes) == {None, "t1"}
    assert len(view.open(None).window.seconds) <= WINDOW_S + 1
    assert len(view.open(None).requests) == MOST_REQUESTS
    view.advance(at(10_000))
    assert not view.open(None).window.seconds
    assert not view._marks
    assert len(view._answers) <= fold.MOST_ANSWERS
    assert len(view._dead) <= fold.MOST_DEAD
