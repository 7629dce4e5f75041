"""`GET /v1/costs`: exact sums, whose they are, and what is refused."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from schemas.ledger import CostTotal
from streams.edge.costs import Costs
from tests.unit.edge.operations_door import Ready, client, door

HOUR = datetime(2026, 1, 31, 15, tzinfo=UTC)
ONE = CostTotal("acme", "acme", "openai", "m1", HOUR, HOUR, calls=2, cost_nanousd=10**18 + 1, input_tokens=3)
TOTALS = {
    b"1": ONE,
    b"2": replace(ONE, lane="acme#1", cost_nanousd=1),
    b"3": replace(ONE, model="m2", cost_nanousd=5, avoided_nanousd=9, hour=HOUR.replace(hour=16)),
    b"4": replace(ONE, tenant="birch", cost_nanousd=7, hour=HOUR.replace(hour=16)),
    b"5": replace(ONE, model="m2", cost_nanousd=8, hour=HOUR.replace(day=30)),
}


class Totals:
    async def by_key(self):
        return dict(TOTALS)


def ask(query: str, key: str = "acme"):
    return client(door(), Costs(door(), Ready(Totals())).routes(), key).get(f"/v1/costs{query}")


def rows(query: str, key: str = "acme"):
    answer = ask(query, key)
    assert answer.status_code == 200, answer.text
    return answer.json()["rows"]


def test_a_key_sees_its_own_tenant_to_the_nano_dollar() -> None:
    answer = ask("").json()
    assert [(row["model"], row["cost_nanousd"]) for row in answer["rows"]] == [("openai/m1", 10**18 + 2), ("openai/m2", 13)]
    assert answer["rows"][0]["cost"] == "$1,000,000,000.000000002"
    assert (answer["total"]["cost_nanousd"], answer["total"]["calls"], answer["tenant"]) == (10**18 + 15, 8, "acme")
    assert answer["total"]["avoided"] == "$0.000000009"


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("?by=tenant", {"acme": 10**18 + 15, "birch": 7}),
        ("?by=tenant&tenant=birch", {"birch": 7}),
        ("?by=provider", {"openai": 10**18 + 22}),
        ("?by=tenant&tenant=nobody", {}),
    ],
)
def test_admin_sees_all_or_one(query: str, names: dict[str, int]) -> None:
    by = query.removeprefix("?by=").partition("&")[0]
    assert {row[by]: row["cost_nanousd"] for row in rows(query, "ops:admin")} == names


def test_another_tenants_costs_are_refused() -> None:
    assert ask("?tenant=birch").status_code == 403
    assert ask("?tenant=acme").status_code == 200
    assert ask("", "acme:publish").status_code == 403


@pytest.mark.parametrize(
    ("query", "hours"),
    [
        ("?by=hour", ["2026-01-30T15:00Z", "2026-01-31T15:00Z", "2026-01-31T16:00Z"]),
        ("?by=hour&from=2026-01-31T15:59Z", ["2026-01-31T15:00Z", "2026-01-31T16:00Z"]),
        ("?by=hour&from=2026-01-31T15:59:00%2B00:00", ["2026-01-31T15:00Z", "2026-01-31T16:00Z"]),
        ("?by=hour&from=2026-01-31T15:59:00+00:00", ["2026-01-31T15:00Z", "2026-01-31T16:00Z"]),
        ("?by=hour&to=2026-01-31T16:00Z", ["2026-01-30T15:00Z", "2026-01-31T15:00Z"]),
        ("?by=hour&to=2026-01-31T16:01Z", ["2026-01-30T15:00Z", "2026-01-31T15:00Z", "2026-01-31T16:00Z"]),
        ("?by=hour&from=2026-01-31&to=2026-02-01T00:00%2B08:00", ["2026-01-31T15:00Z"]),
    ],
)
def test_from_and_to(query: str, hours: list[str]) -> None:
    assert [row["hour"] for row in rows(query)] == hours


def test_cumulative_adds_up_each_name_by_itself() -> None:
    assert [(row["day"], row["cost_nanousd"]) for row in rows("?by=day&cumulative=true")] == [
        ("2026-01-30", 8),
        ("2026-01-31", 10**18 + 15),
    ]
    assert [(row["hour"], row["model"], row["cost_nanousd"]) for row in rows("?by=model&per=hour&cumulative=true")] == [
        ("2026-01-30T15:00Z", "openai/m2", 8),
        ("2026-01-31T15:00Z", "openai/m1", 10**18 + 2),
        ("2026-01-31T16:00Z", "openai/m2", 13),
    ]
    assert ask("?by=day&cumulative=true").json()["total"]["cost_nanousd"] == 10**18 + 15


@pytest.mark.parametrize(
    ("query", "word"),
    [
        ("?by=colour", "by"),
        ("?by=hour&per=day", "per"),
        ("?per=week", "per"),
        ("?cumulative=true", "cumulative"),
        ("?by=day&cumulative=perhaps", "cumulative"),
        ("?from=yesterday", "from"),
        ("?from=0001-01-01T00:00%2B14:00", "far away"),
        ("?from=2026-01-02&to=2026-01-02", "later"),
        ("?since=2026-01-02", "since"),
    ],
)
def test_what_cannot_be_asked_is_named(query: str, word: str) -> None:
    answer = ask(query)
    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")
    assert word in answer.json()["detail"]
