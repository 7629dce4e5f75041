"""What endpoints are told, and that they can believe it."""

import base64
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import orjson
import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from processors.webhooks.messages import (
    COMPLETED,
    FAILED,
    MAX_BODY_BYTES,
    TEST,
    body_of,
    deliveries_of,
    event_of,
    message_id_of,
    trial_of,
)
from processors.webhooks.signing import headers_of, secret_of
from schemas.calls import Output
from schemas.outcomes import ErrorInfo, ResponseStatus
from schemas.serde import Serde
from schemas.webhooks import DeliveryStatus
from tests.contract.records import EXAMPLES
from tests.unit.webhooks.made import NOW, endpoint, response

INSTALLATION = b"a secret of sixteen"


@pytest.mark.parametrize(
    ("status", "event"),
    [
        (ResponseStatus.OK, COMPLETED),
        (ResponseStatus.FALLBACK, COMPLETED),
        (ResponseStatus.ERROR, FAILED),
        (ResponseStatus.EXPIRED, FAILED),
    ],
)
def test_a_final_response_is_one_event(status: ResponseStatus, event: str) -> None:
    assert event_of(response(status=status)) == event
    assert event_of(response(status=status, final=False)) is None


def test_whoever_asked_is_told_and_nobody_else() -> None:
    asked = [
        endpoint("both"),
        endpoint("completed", events=(COMPLETED,)),
        endpoint("failed", events=(FAILED,)),
        endpoint("others", tenant="other"),
        endpoint("off", disabled_at=NOW),
        endpoint("new", created_at=NOW + timedelta(minutes=1)),
        endpoint("made meanwhile", created_at=NOW + timedelta(seconds=1)),
    ]
    told = {d.webhook_id for d in deliveries_of(response(), asked, now=NOW)}
    assert told == {"both", "completed", "made meanwhile"}
    failed = response(status=ResponseStatus.ERROR, error=ErrorInfo("rejected", "no"))
    assert {d.webhook_id for d in deliveries_of(failed, asked, now=NOW)} == {"both", "failed", "made meanwhile"}
    assert not list(deliveries_of(response(final=False), asked, now=NOW))


def test_a_delivery_is_due_at_once_and_has_the_body() -> None:
    [one] = deliveries_of(response(), [endpoint()], now=NOW)
    assert (one.status, one.attempt, one.not_before, one.request_id) == (DeliveryStatus.WAITING, 0, NOW, "req-1")
    assert one.body == body_of(COMPLETED, response())


def test_the_body_is_the_whole_response_and_its_cost() -> None:
    body = orjson.loads(body_of(COMPLETED, response()))
    assert (body["type"], body["timestamp"]) == (COMPLETED, "2026-01-31T15:04:05.678901Z")
    data = body["data"]
    assert (data["request_id"], data["tenant"], data["status"]) == ("req-1", "acme", "ok")
    assert (data["cost_nanousd"], data["output"]["content"]) == (1_500, "The Rhine.")
    assert data["answered_at"] == body["timestamp"]
    assert not {"cache_key", "cache_ttl_s", "compare", "final"} & data.keys()


def test_every_response_has_a_body() -> None:
    example = EXAMPLES["InferenceResponse"]
    data = orjson.loads(body_of(COMPLETED, example))["data"]
    assert data["usage"]["input_tokens"] == example.usage.input_tokens
    assert data["output"]["tool_calls"][0]["name"] == "weather"


def test_a_body_that_is_too_large_goes_without_the_output() -> None:
    large = response(output=Output("x" * MAX_BODY_BYTES))
    body = body_of(COMPLETED, large)
    assert len(body) < 10_000
    data = orjson.loads(body)["data"]
    assert (data["output"], data["output_omitted"], data["cost_nanousd"]) == (None, True, 1_500)
    with_metadata = replace(large, metadata={"x": "y" * MAX_BODY_BYTES})
    brief = orjson.loads(body_of(COMPLETED, with_metadata))["data"]
    assert (brief["request_id"], brief["status"], brief["output_omitted"]) == ("req-1", "ok", True)
    assert "metadata" not in brief


def test_a_delivery_fits_its_record_whatever_was_answered() -> None:
    largest = response(output=Output("\N{EURO SIGN}" * 70_000))
    [one] = deliveries_of(largest, [endpoint()], now=NOW)
    assert Serde().encode(one)


def test_a_message_has_the_same_id_whenever_it_is_made_and_another_for_another_endpoint() -> None:
    first = {d.webhook_id: d.message_id for d in deliveries_of(response(), [endpoint("a"), endpoint("b")], now=NOW)}
    again = {d.webhook_id: d.message_id for d in deliveries_of(response(), [endpoint("a"), endpoint("b")], now=NOW)}
    assert first == again
    assert len(set(first.values())) == 2
    ids = {message_id_of("a", response()), message_id_of("a", response("req-2")), message_id_of("a", response(tenant="other"))}
    ids.add(message_id_of("a", response(received_at=NOW)))  # the same id again, a day later, is another request
    assert len(ids) == 4


def test_a_trial_is_a_message_like_any_other() -> None:
    one = trial_of(endpoint(), "msg-1", now=NOW)
    assert (one.event, one.request_id, one.status) == (TEST, None, DeliveryStatus.WAITING)
    assert orjson.loads(one.body or "")["type"] == TEST


# --- signatures ---------------------------------------------------------------------------------------------------------


def now() -> datetime:
    return datetime.now(UTC)  # the library refuses old messages


def test_the_library_believes_what_is_signed() -> None:
    body = body_of(COMPLETED, response(output=Output("4 \N{DEGREE SIGN}C")))
    headers = headers_of(INSTALLATION, endpoint(), "msg_1", body, now=now())
    secret = secret_of(INSTALLATION, "wh-1", 1)
    assert Webhook(secret).verify(body, headers)["data"]["request_id"] == "req-1"
    for bent in (
        lambda: Webhook(secret).verify(body + " ", headers),
        lambda: Webhook(secret).verify(body, headers | {"webhook-id": "msg_2"}),
        lambda: Webhook(secret_of(b"another secret....", "wh-1", 1)).verify(body, headers),
        lambda: Webhook(secret_of(INSTALLATION, "wh-2", 1)).verify(body, headers),
        lambda: Webhook(secret_of(INSTALLATION, "wh-1", 2)).verify(body, headers),
    ):
        with pytest.raises(WebhookVerificationError):
            bent()


def test_a_secret_is_as_long_as_the_standard_asks_and_tells_nothing_of_the_installations() -> None:
    secret = secret_of(INSTALLATION, "wh-1", 1)
    prefix, _, rest = secret.partition("_")
    assert prefix == "whsec"
    assert 24 <= len(base64.b64decode(rest)) <= 64
    assert secret == secret_of(INSTALLATION, "wh-1", 1)
    assert base64.b64encode(INSTALLATION).decode() not in secret


def test_after_a_rotation_both_secrets_hold_for_a_day() -> None:
    old, new = secret_of(INSTALLATION, "wh-1", 1), secret_of(INSTALLATION, "wh-1", 2)
    rotated = endpoint(generation=2, rotated_at=now() - timedelta(hours=23))
    headers = headers_of(INSTALLATION, rotated, "msg_1", "{}", now=now())
    assert len(headers["webhook-signature"].split(" ")) == 2
    for secret in (old, new):
        Webhook(secret).verify("{}", headers)
    later = headers_of(INSTALLATION, replace(rotated, rotated_at=now() - timedelta(hours=25)), "msg_1", "{}", now=now())
    Webhook(new).verify("{}", later)
    with pytest.raises(WebhookVerificationError):
        Webhook(old).verify("{}", later)
