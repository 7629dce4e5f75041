from dataclasses import replace
from datetime import UTC, datetime

import pytest

from schemas.errors import SettingsError
from schemas.ledger import CostTotal
from streams.cli.spending import Spending

HOUR = datetime(2026, 1, 31, 15, tzinfo=UTC)
ONE = CostTotal("acme", "acme", "openai", "m1", HOUR, HOUR, calls=2, cost_nanousd=10**18 + 1, input_tokens=3, unpriced_calls=1)
TOTALS = (
    ONE,
    replace(ONE, lane="acme#1", cost_nanousd=1),
    replace(ONE, tenant="birch", provider="anthropic", cost_nanousd=7, hour=HOUR.replace(hour=16)),
    replace(ONE, tenant="birch", model="m2", cost_nanousd=8, hour=HOUR.replace(day=30)),
)


def group(**wanted):
    return Spending.of(**({"by": "tenant", "since": None, "tenant": None} | wanted)).group(TOTALS)


@pytest.mark.parametrize(
    ("by", "costs"),
    [
        ("tenant", {"acme": 10**18 + 2, "birch": 15}),
        ("provider", {"openai": 10**18 + 10, "anthropic": 7}),
        ("model", {"openai/m1": 10**18 + 2, "openai/m2": 8, "anthropic/m1": 7}),
        ("hour", {"2026-01-30T15:00Z": 8, "2026-01-31T15:00Z": 10**18 + 2, "2026-01-31T16:00Z": 7}),
        ("day", {"2026-01-30": 8, "2026-01-31": 10**18 + 9}),
    ],
)
def test_sums_are_exact_and_in_order(by, costs):
    groups = group(by=by)
    assert {name: sums.cost_nanousd for name, sums in groups.items()} == costs
    assert list(groups) == list(costs)
    assert sum(sums.calls for sums in groups.values()) == 8
    assert sum(sums.unpriced_calls for sums in groups.values()) == 4


def test_since_takes_the_hour_that_the_time_is_in():
    assert set(group(by="hour", since="2026-01-31T15:40Z")) == {"2026-01-31T15:00Z", "2026-01-31T16:00Z"}


def test_one_tenant():
    assert set(group(by="provider", tenant="acme")) == {"openai"}


def test_what_cannot_be_summed_by_is_refused():
    with pytest.raises(SettingsError, match="--by takes"):
        group(by="colour")
