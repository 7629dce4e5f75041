"""What follows from one try of a delivery: it is done, it is tried again and when, or it is given up."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime

from processors.webhooks.messages import TEST
from schemas.errors import SettingsError
from schemas.webhooks import WebhookDelivery, WebhookEndpoint

STANDARD_WAITS = "5,300,1800,7200,18000,36000,50400,72000,86400"
"""The waits of the Standard Webhooks specification, "Retries"; the first try has none before it."""
_MOST_WAIT_S = 86_400.0
_JITTER = 0.1


@dataclass(frozen=True, slots=True)
class Came:
    """What one try met. Without `http_status` there was no answer, and `error` says why."""

    http_status: int | None = None
    error: str | None = None
    answer: str | None = None
    retry_after_s: float | None = None
    duration_ms: int = 0

    @property
    def good(self) -> bool:
        return self.http_status is not None and 200 <= self.http_status < 300


@dataclass(frozen=True, slots=True)
class Pace:
    """How often and how long. `waits_s` stand before the second try, the third, and so on."""

    waits_s: tuple[float, ...]
    disable_after: timedelta
    most_waiting: int = 10_000
    """Deliveries of one endpoint that may wait; those beyond are given up."""


@dataclass(frozen=True, slots=True)
class Done:
    """It was taken."""


@dataclass(frozen=True, slots=True)
class TryAgain:
    at: datetime


@dataclass(frozen=True, slots=True)
class GiveUp:
    """No more tries. `reason` names it in a dead letter; with `disable` nothing more goes to the endpoint at all."""

    reason: str
    message: str
    disable: bool = False


@dataclass(frozen=True, slots=True)
class Drop:
    """Nobody wants it any more, and nobody is told."""


Next = Done | TryAgain | GiveUp


def waits_of(text: str) -> tuple[float, ...]:
    """The waits in a setting. Raises SettingsError.

    >>> waits_of("5, 300")
    (5.0, 300.0)
    """
    try:
        waits = tuple(float(part) for part in text.split(","))
    except ValueError:
        waits = ()
    if not waits or not all(0 <= wait <= _MOST_WAIT_S for wait in waits):
        raise SettingsError(
            f"PENSTOCK_WEBHOOKS_RETRY_S is seconds with commas between, each at most {_MOST_WAIT_S:.0f}: not {text!r}"
        )
    return waits


def unwanted(delivery: WebhookDelivery, endpoint: WebhookEndpoint | None, pace: Pace, *, waiting: int) -> Drop | GiveUp | None:
    """Why a delivery is not to be tried at all; None when it is. `waiting`: how many of its endpoint's deliveries wait."""
    if endpoint is None:
        return Drop()
    if delivery.event == TEST:
        return None
    if endpoint.disabled_at is not None:
        return GiveUp("endpoint_disabled", f"the endpoint is disabled ({endpoint.disabled_reason}): enable it")
    if delivery.attempt == 0 and waiting > pace.most_waiting:
        return GiveUp("too_many_waiting", f"{pace.most_waiting:,} deliveries of the endpoint wait already: see to it")
    return None


def failing_from(failing_since: datetime | None, endpoint: WebhookEndpoint, *, now: datetime) -> datetime:
    """Since when an endpoint fails that has just failed; what was before it was enabled does not count."""
    if failing_since is None or (endpoint.enabled_at is not None and failing_since < endpoint.enabled_at):
        return now
    return failing_since


def decide(
    delivery: WebhookDelivery,
    came: Came,
    pace: Pace,
    *,
    failing_since: datetime,
    waiting: int,
    now: datetime,
    jitter: float,
) -> Next:
    """What follows from try number `delivery.attempt + 1`.

    `failing_since`: since when the endpoint has answered nothing well, this try included. `waiting`: how many deliveries of it
    wait. `jitter` is in [0, 1): deliveries that failed together do not come back together.
    """
    if came.good:
        return Done()
    if (end := _end(delivery, came, pace, now - failing_since, waiting)) is not None:
        return end
    wait_s = pace.waits_s[delivery.attempt] * (1 + _JITTER * jitter)
    if came.http_status in {429, 503} and came.retry_after_s is not None:
        wait_s = max(wait_s, came.retry_after_s)
    return TryAgain(now + timedelta(seconds=min(wait_s, _MOST_WAIT_S * (1 + _JITTER))))


def _end(delivery: WebhookDelivery, came: Came, pace: Pace, failing_for: timedelta, waiting: int) -> GiveUp | None:
    """Why a try that failed was the last one; None when it was not."""
    tries, last = delivery.attempt + 1, f"the last try: {came.error or came.http_status}"
    days = pace.disable_after / timedelta(days=1)
    failing = f"the endpoint has failed for {days:.3g} days and was disabled; {last}"
    ends = (
        (delivery.event == TEST, GiveUp("test_failed", f"a test is tried once; {last}")),
        (came.http_status == 410, GiveUp("gone", "it was answered with 410, and the endpoint was disabled", disable=True)),
        (failing_for >= pace.disable_after, GiveUp("endpoint_failing", failing, disable=True)),
        (tries > len(pace.waits_s), GiveUp("attempts_spent", f"tried {tries} times; {last}")),
        (waiting > pace.most_waiting, GiveUp("too_many_waiting", f"{pace.most_waiting:,} others of the endpoint wait; {last}")),
    )
    return next((end for holds, end in ends if holds), None)


def retry_after_s(header: str | None, *, now: datetime) -> float | None:
    """The seconds that a Retry-After asks for, be it a number or a date; None without one that can be read.

    >>> from datetime import UTC
    >>> now = datetime(2026, 1, 31, 12, tzinfo=UTC)
    >>> [retry_after_s(text, now=now) for text in ("120", "Sat, 31 Jan 2026 12:01:00 GMT", "soon", None)]
    [120.0, 60.0, None, None]
    """
    text = (header or "").strip()
    if text.isdecimal() and text.isascii() and len(text) < 10:
        return float(text)
    try:
        until = parsedate_to_datetime(text)
    except ValueError:
        return None
    return max(0.0, (until - now).total_seconds()) if until.tzinfo is not None else None
