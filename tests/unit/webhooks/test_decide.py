"""What follows from a try."""

from datetime import timedelta
from itertools import pairwise

import pytest

from processors.webhooks.decide import (
    STANDARD_WAITS,
    Came,
    Done,
    Drop,
    GiveUp,
    Pace,
    TryAgain,
    decide,
    failing_from,
    unwanted,
    waits_of,
)
from processors.webhooks.messages import TEST
from schemas.errors import SettingsError
from streams.settings import Settings
from tests.unit.webhooks.made import NOW, delivery, endpoint

PACE = Pace(waits_of(STANDARD_WAITS), timedelta(days=5))
BAD = Came(500, "it was answered with 500")


def after(came: Came, *, attempt: int = 0, waiting: int = 1, failing_for_s: float = 0, jitter: float = 0.0, event: str = ""):
    one = delivery(attempt=attempt, event=event or "request.completed")
    since = NOW - timedelta(seconds=failing_for_s)
    return decide(one, came, PACE, failing_since=since, waiting=waiting, now=NOW, jitter=jitter)


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_any_good_answer_is_the_end(status: int) -> None:
    assert after(Came(status)) == Done()


@pytest.mark.parametrize("status", [None, 100, 301, 302, 307, 400, 401, 404, 429, 500, 503])
def test_all_else_is_tried_again(status: int | None) -> None:
    assert after(Came(status, "no")) == TryAgain(NOW + timedelta(seconds=5))


def test_the_waits_are_those_of_the_standard_and_then_it_is_given_up() -> None:
    waits = []
    for attempt in range(9):
        chosen = after(BAD, attempt=attempt)
        assert isinstance(chosen, TryAgain)
        waits.append((chosen.at - NOW).total_seconds())
    assert waits == [5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400]
    last = after(BAD, attempt=9)
    assert isinstance(last, GiveUp)
    assert (last.reason, last.disable) == ("attempts_spent", False)
    assert "tried 10 times" in last.message
    assert "500" in last.message


def test_the_default_of_the_setting_is_the_standard() -> None:
    assert Settings.model_fields["webhooks_retry_s"].default == STANDARD_WAITS


def test_those_that_failed_together_do_not_come_back_together() -> None:
    times = [after(BAD, attempt=2, jitter=jitter / 10).at for jitter in range(10)]
    assert all(a < b for a, b in pairwise(times))
    assert times[-1] - times[0] < timedelta(seconds=180)


@pytest.mark.parametrize(
    ("status", "asked_s", "waited_s"),
    [(429, 60.0, 60), (503, 120.0, 120), (429, 1.0, 5), (429, None, 5), (500, 60.0, 5), (503, 10_000_000.0, 95_040)],
)
def test_retry_after_is_obeyed_where_it_belongs_and_within_reason(status: int, asked_s: float | None, waited_s: int) -> None:
    assert after(Came(status, "later", retry_after_s=asked_s)) == TryAgain(NOW + timedelta(seconds=waited_s))


def test_410_ends_the_endpoint() -> None:
    chosen = after(Came(410, "gone"))
    assert isinstance(chosen, GiveUp)
    assert (chosen.reason, chosen.disable) == ("gone", True)


def test_five_days_of_failures_end_the_endpoint() -> None:
    assert isinstance(after(BAD, attempt=3, failing_for_s=5 * 86_400 - 1), TryAgain)
    chosen = after(BAD, attempt=3, failing_for_s=5 * 86_400)
    assert isinstance(chosen, GiveUp)
    assert (chosen.reason, chosen.disable) == ("endpoint_failing", True)
    assert "5 days" in chosen.message


def test_a_test_is_tried_once_and_disables_nothing() -> None:
    for came in (BAD, Came(410, "gone"), Came(None, "refused")):
        chosen = after(came, event=TEST, failing_for_s=10 * 86_400)
        assert isinstance(chosen, GiveUp)
        assert (chosen.reason, chosen.disable) == ("test_failed", False)


def test_more_than_may_wait_are_given_up() -> None:
    assert isinstance(after(BAD, waiting=10_000), TryAgain)
    chosen = after(BAD, waiting=10_001)
    assert isinstance(chosen, GiveUp)
    assert chosen.reason == "too_many_waiting"


def test_what_is_not_tried_at_all() -> None:
    assert unwanted(delivery(), None, PACE, waiting=1) == Drop()
    assert unwanted(delivery(), endpoint(), PACE, waiting=1) is None
    disabled = endpoint(disabled_at=NOW, disabled_reason="it wants nothing")
    chosen = unwanted(delivery(), disabled, PACE, waiting=1)
    assert isinstance(chosen, GiveUp)
    assert chosen.reason == "endpoint_disabled"
    assert "it wants nothing" in chosen.message
    assert unwanted(delivery(event=TEST), disabled, PACE, waiting=1) is None
    crowded = unwanted(delivery(), endpoint(), PACE, waiting=10_001)
    assert isinstance(crowded, GiveUp)
    assert unwanted(delivery(attempt=1), endpoint(), PACE, waiting=10_001) is None, "it has its place already"


def test_failures_before_an_endpoint_was_enabled_do_not_count() -> None:
    long_ago, lately = NOW - timedelta(days=6), NOW - timedelta(hours=1)
    assert failing_from(None, endpoint(), now=NOW) == NOW
    assert failing_from(long_ago, endpoint(), now=NOW) == long_ago
    assert failing_from(long_ago, endpoint(enabled_at=lately), now=NOW) == NOW
    assert failing_from(lately, endpoint(enabled_at=long_ago), now=NOW) == lately


@pytest.mark.parametrize("text", ["", "x", "5,", "-1", "5,100000000", "nan"])
def test_waits_that_cannot_be_are_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="PENSTOCK_WEBHOOKS_RETRY_S"):
        waits_of(text)
