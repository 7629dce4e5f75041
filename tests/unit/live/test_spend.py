"""Money by model, tenant and hour, out of totals that are absolute."""

from datetime import timedelta
from typing import Any

import pytest

from processors.live import spend
from processors.live.fold import Live
from processors.live.scope import Surroundings
from tests.unit.live.records import T0, at, total


def watched(*tenants: str | None) -> Live:
    view = Live()
    view.advance(T0)
    for tenant in tenants or (None,):
        view.open(tenant)
    return view


def told(view: Live, seconds: float = 1.0, tenant: str | None = None) -> dict[str, Any]:
    return view.open(tenant).snapshot(at(seconds), Surroundings([], None, partial=view.totals.partial))["spend"]


def test_a_later_total_takes_the_place_of_the_earlier_one() -> None:
    view = watched()
    for amount in (10, 25, 25, 40):
        view.totalled(b"k", total(amount, calls=amount, cache_hits=1, avoided_nanousd=3), T0)
    found = told(view)
    assert (found["day_nanousd"], found["hour_nanousd"], found["day_calls"]) == (40, 40, 40)
    assert (found["day_avoided_nanousd"], found["day_cache_hits"]) == (3, 1)


def test_what_is_spent_shows_in_the_second_it_was_written() -> None:
    view = watched()
    view.totalled(b"k", total(10, -5), T0)
    view.totalled(b"k", total(16, -2), T0)
    view.totalled(b"other", total(1_000, -7_200), T0)
    series = view.open(None).snapshot(T0, Surroundings([], None))["series"]["cost_nanousd"]
    assert (series[-5], series[-2], sum(series)) == (10, 6, 16)


def test_a_correction_downwards_is_taken_off() -> None:
    view = watched()
    view.totalled(b"k", total(100, -5), T0)
    view.totalled(b"k", total(60, -2), T0)
    assert told(view)["day_nanousd"] == 60
    assert view.open(None).snapshot(T0, Surroundings([], None))["minute"]["cost_nanousd"] == 60


def test_hours_are_24_and_what_is_older_drops_out() -> None:
    view = watched()
    for back in range(26):
        view.totalled(b"%d" % back, total(1 << back, -3_600 * back), T0)
    found = told(view)
    assert len(found["by_hour"]) == 24
    assert found["by_hour"][-1] == {
        "name": at(0).replace(minute=0, second=0),
        "cost_nanousd": 1,
        "avoided_nanousd": 0,
        "calls": 1,
        "cache_hits": 0,
    }
    assert found["day_nanousd"] == (1 << 24) - 1
    view.advance(at(3_600))
    later = told(view, 3_601)
    assert later["hour_nanousd"] == 0
    assert later["day_nanousd"] == (1 << 23) - 1


def test_the_dearest_are_named_and_the_rest_is_summed() -> None:
    view = watched()
    for i in range(20):
        view.totalled(b"%d" % i, total(100 + i, model=f"m{i}"), T0)
    rows = told(view)["by_model"]
    assert [row["name"] for row in rows] == [f"openai/m{i}" for i in range(19, 7, -1)] + [None]
    assert rows[-1]["cost_nanousd"] == sum(100 + i for i in range(8))
    assert rows[-1]["calls"] == 8


def test_more_totals_than_are_kept_are_said_to_be_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spend, "MOST_TOTALS", 3)
    view = watched()
    for i in range(5):
        view.totalled(b"%d" % i, total(1), T0)
    assert told(view)["day_nanousd"] == 3
    assert told(view)["partial"]
    view.totalled(b"0", total(2), T0)
    assert told(view)["day_nanousd"] == 4, "those that are known go on"


def test_spend_is_told_again_only_when_it_has_changed() -> None:
    view = watched()
    scope = view.open(None)
    around = Surroundings([], None)
    view.totalled(b"k", total(10), T0)
    assert scope.update(at(2), around)["spend"]["day_nanousd"] == 10
    assert "spend" not in scope.update(at(5), around)
    view.totalled(b"k", total(10, updated_at=at(5) + timedelta(seconds=1)), at(6))
    assert "spend" in scope.update(at(7), around)
