"""Which deliveries wait, whatever order the log tells of them in."""

from dataclasses import replace
from datetime import timedelta

from processors.webhooks.messages import TEST
from processors.webhooks.standing import Standing, further
from schemas.webhooks import DeliveryStatus
from tests.unit.webhooks.made import NOW, delivery

LATER = NOW + timedelta(hours=1)


def tried(one, status: DeliveryStatus, *, due=None, failing_since=None):
    return replace(one, status=status, attempt=one.attempt + 1, not_before=due, failing_since=failing_since)


def given_out(standing: Standing, now=NOW) -> list[str]:
    found = []
    for webhook_id in standing.due(now):
        while (waiting := standing.pop(webhook_id)) is not None:
            found.append(waiting.message_id)
    return found


def test_what_is_due_is_given_out_once() -> None:
    standing = Standing()
    standing.take(delivery("a"), 0)
    standing.take(delivery("b", not_before=LATER), 1)
    assert standing.next_due() == NOW
    assert given_out(standing) == ["a"]
    assert given_out(standing) == []
    assert standing.next_due() == LATER
    assert given_out(standing, LATER) == ["b"]
    assert len(standing) == 2, "both wait until the log says what came of them"


def test_each_endpoint_has_its_own_queue() -> None:
    standing = Standing()
    for number in range(3):
        standing.take(delivery(f"a{number}", webhook_id="wh-a"), 2 * number)
        standing.take(delivery(f"b{number}", webhook_id="wh-b"), 2 * number + 1)
    assert sorted(standing.due(NOW)) == ["wh-a", "wh-b"]
    assert [standing.pop("wh-b").message_id for _ in range(3)] == ["b0", "b1", "b2"]
    assert standing.pop("wh-b") is None
    assert standing.due(NOW) == ["wh-a"]
    assert standing.waiting_of("wh-a") == standing.waiting_of("wh-b") == 3


def test_a_try_that_failed_waits_for_its_next_time() -> None:
    standing, one = Standing(), delivery("a")
    standing.take(one, 0)
    given_out(standing)
    standing.take(tried(one, DeliveryStatus.WAITING, due=LATER, failing_since=NOW), 1)
    assert given_out(standing) == []
    assert given_out(standing, LATER) == ["a"]
    assert standing.failing_since("wh-1") == NOW
    standing.take(tried(replace(one, attempt=1), DeliveryStatus.DELIVERED), 2)
    assert standing.failing_since("wh-1") is None
    assert len(standing) == standing.waiting_of("wh-1") == 0


def test_what_has_ended_does_not_come_back() -> None:
    """A response that is read again makes the same delivery again."""
    standing, one = Standing(), delivery("a")
    standing.take(one, 0)
    standing.take(tried(one, DeliveryStatus.DELIVERED), 1)
    standing.take(one, 2)
    assert len(standing) == 0
    assert given_out(standing) == []
    assert standing.watermark() is None


def test_a_delivery_that_stands_twice_is_tried_once() -> None:
    standing, one = Standing(), delivery("a")
    standing.take(one, 0)
    standing.take(one, 1)
    assert given_out(standing) == ["a"]
    assert standing.waiting_of("wh-1") == 1
    assert standing.watermark() == 0


def test_the_watermark_is_the_first_record_that_is_needed() -> None:
    standing = Standing()
    first, second = delivery("a"), delivery("b")
    standing.take(first, 10)
    standing.take(second, 11)
    assert standing.watermark() == 10
    standing.take(tried(first, DeliveryStatus.WAITING, due=LATER, failing_since=NOW), 12)
    assert standing.watermark() == 11
    standing.take(tried(second, DeliveryStatus.GIVEN_UP), 13)
    assert standing.watermark() == 12


def test_reading_again_from_the_watermark_comes_to_the_same() -> None:
    log = []
    one, two, three = delivery("a"), delivery("b", webhook_id="wh-2"), delivery("c", not_before=LATER)
    again = tried(one, DeliveryStatus.WAITING, due=LATER, failing_since=NOW)
    log += [one, two, three, again, tried(two, DeliveryStatus.DELIVERED), one]
    whole, resumed = Standing(), Standing()
    for offset, record in enumerate(log):
        whole.take(record, offset)
    start = whole.watermark()
    assert start == 2
    for offset, record in enumerate(log[start:], start):
        resumed.take(record, offset)
    assert given_out(resumed, LATER) == given_out(whole, LATER)
    assert len(resumed) == len(whole) == 2
    assert resumed.failing_since("wh-1") == whole.failing_since("wh-1") == NOW


def test_what_is_put_back_is_given_out_again() -> None:
    standing, one = Standing(), delivery("a")
    standing.take(one, 0)
    standing.due(NOW)
    waiting = standing.pop("wh-1")
    assert waiting is not None
    standing.put_back(waiting, LATER)
    assert given_out(standing) == []
    assert given_out(standing, LATER) == ["a"]
    standing.drop(waiting)
    standing.put_back(waiting, LATER)
    assert given_out(standing, LATER) == []


def test_a_test_says_nothing_about_the_endpoint() -> None:
    standing, one = Standing(), delivery("a")
    standing.take(tried(one, DeliveryStatus.WAITING, due=LATER, failing_since=NOW), 0)
    test = delivery("t", event=TEST, request_id=None)
    standing.take(tried(test, DeliveryStatus.DELIVERED), 1)
    assert standing.failing_since("wh-1") == NOW
    other = Standing()
    other.take(tried(test, DeliveryStatus.GIVEN_UP, failing_since=NOW), 0)
    assert other.failing_since("wh-1") is None


def test_a_delivery_that_was_made_again_stands_as_it_stood() -> None:
    one = delivery("a")
    done = tried(replace(one, attempt=2), DeliveryStatus.DELIVERED)
    assert further(done, one) == further(one, done) == done
    assert further(replace(one, attempt=2), done) == done
    assert further(one, replace(one, status=DeliveryStatus.GIVEN_UP)).status is DeliveryStatus.GIVEN_UP
