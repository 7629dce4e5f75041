"""The paths of webhooks over a log in memory: shapes, roles, tenants, refusals."""

import asyncio
import contextlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from aiokafka.errors import KafkaConnectionError
from standardwebhooks import Webhook
from starlette.testclient import TestClient

from processors.webhooks.messages import TEST
from processors.webhooks.signing import headers_of
from schemas.keys import KeyRole
from schemas.webhooks import DeliveryStatus, WebhookDelivery, WebhookEndpoint
from streams import topics
from streams.edge import webhooks as module
from streams.edge.app import edge_app
from streams.edge.door import Door
from streams.edge.principal import Principal
from streams.edge.webhook_deliveries import Deliveries
from streams.edge.webhooks import MOST, WebhookParts
from streams.publisher import Outgoing
from streams.webhooks.endpoints import Endpoints
from streams.webhooks.guard import Guard
from tests.unit.edge.native_log import MemoryLog, Process
from tests.unit.webhooks.made import delivery, endpoint

SECRET = b"a secret of sixteen"
URL = "https://hooks.example.org/penstock"


class Roles:
    """An authority whose keys are `<tenant>:<role>,<role>`."""

    def principal(self, credential: str) -> Principal | None:
        tenant, _, roles = credential.partition(":")
        return Principal(tenant, frozenset(KeyRole(role) for role in roles.split(",")), tenant) if roles else None


class Log(MemoryLog):
    """A log that also makes tests, as the role `webhooks` would; `answer` says what comes of them."""

    answer: DeliveryStatus | None = DeliveryStatus.DELIVERED
    away = False

    async def send_all(self, records: Iterable[Outgoing]) -> None:
        if self.away:
            raise KafkaConnectionError("away")
        kept = list(records)
        await super().send_all(kept)
        for each in kept:
            if each.topic == topics.WEBHOOK_DELIVERIES and self.answer is not None:
                asked = self.serde.of(WebhookDelivery).decode(each.value)
                good = self.answer is DeliveryStatus.DELIVERED
                came = {"http_status": 200 if good else 500, "error": None if good else "it was answered with 500"}
                self.tell_of(replace(asked, status=self.answer, attempt=1, body=None, not_before=None, answer="hi", **came))

    def tell_of(self, one: WebhookDelivery, at: datetime | None = None) -> None:
        self.put(topics.WEBHOOK_DELIVERIES, one.webhook_id, self.serde.encode(one), at)

    def endpoint(self, webhook_id: str) -> WebhookEndpoint:
        lines = [line for line in self.of(topics.WEBHOOKS) if line.key.decode() == webhook_id]
        return self.serde.of(WebhookEndpoint).decode(lines[-1].value)


@contextlib.contextmanager
def edge(log: Log | None = None, *, addresses: Sequence[str] = ("93.184.215.14",)) -> Iterator[tuple[Any, Log]]:
    """Two processes over one log would differ in nothing: there is one here."""
    log = log or Log()
    process = Process(log)
    endpoints = Endpoints(process.runtime)

    def follow(line: Any) -> None:
        if line.topic == topics.WEBHOOKS:
            endpoints._apply(line)

    for line in log.lines:
        follow(line)
    log.followers.append(follow)

    async def resolve(host: str, port: int) -> Sequence[str]:
        return addresses

    guard = Guard(frozenset({443}), False, resolve)
    parts = WebhookParts(endpoints, guard, SECRET, Deliveries(process.runtime, log))  # type: ignore[arg-type]
    door = Door(process.runtime, Roles(), process.mailbox, process.asking, process.door.cancelling)
    with TestClient(edge_app(door, parts.at(door).routes())) as client:

        def call(method: str, path: str = "", *, who: str = "acme:admin", **options: Any) -> httpx.Response:
            return client.request(method, f"/v1/webhooks{path}", headers={"authorization": f"Bearer {who}"}, **options)

        yield call, log


def made(call: Any, **changes: Any) -> dict[str, Any]:
    answer = call("POST", json={"url": URL, **changes})
    assert answer.status_code == 201, answer.text
    return answer.json()


def test_an_endpoint_is_made_and_its_secret_shown_once() -> None:
    with edge() as (call, log):
        answer = call("POST", json={"url": URL, "events": ["request.failed"], "description": "the shop"})
        one = answer.json()
        assert answer.status_code == 201
        assert answer.headers["location"] == f"/v1/webhooks/{one['id']}"
        assert (one["url"], one["events"], one["description"], one["enabled"]) == (URL, ["request.failed"], "the shop", True)
        assert one["secret"].startswith("whsec_")
        shown = call("GET", f"/{one['id']}").json()
        assert shown == {name: value for name, value in one.items() if name != "secret"}
        assert call("GET").json() == {"data": [shown]}
        signed = headers_of(SECRET, log.endpoint(one["id"]), "msg_1", "{}", now=datetime.now(UTC))
        Webhook(one["secret"]).verify("{}", signed)
        assert one["secret"].encode() not in b"".join(line.value for line in log.lines)


def test_without_a_wish_all_events_are_told() -> None:
    with edge() as (call, _):
        assert made(call)["events"] == ["request.completed", "request.failed"]
        assert made(call, description=None)["description"] == ""


@pytest.mark.parametrize(
    ("body", "said"),
    [
        pytest.param({}, "`url`", id="no url"),
        pytest.param({"url": 1}, "`url`", id="a number"),
        pytest.param({"url": URL, "events": []}, "`events`", id="no event"),
        pytest.param({"url": URL, "events": "request.failed"}, "`events`", id="text"),
        pytest.param({"url": URL, "events": ["request.lost"]}, "`events`", id="an unknown event"),
        pytest.param({"url": URL, "events": [["request.failed"]]}, "`events`", id="a list of lists"),
        pytest.param({"url": URL, "events": [TEST]}, "`events`", id="tests come by themselves"),
        pytest.param({"url": URL, "description": "x" * 501}, "`description`", id="a novel"),
        pytest.param({"url": URL, "description": {}}, "`description`", id="no text"),
        pytest.param({"url": URL, "secret": "mine"}, "'secret'", id="an unknown field"),
        pytest.param({"url": URL, "tenant": "other"}, "'tenant'", id="the tenant is the key's"),
        pytest.param({"url": "http://hooks.example.org/"}, "https", id="plain http"),
        pytest.param({"url": "https://hooks.example.org:22/"}, "port", id="ssh"),
    ],
)
def test_a_wish_that_cannot_be_is_refused_in_words(body: dict[str, Any], said: str) -> None:
    with edge() as (call, log):
        answer = call("POST", json=body)
        assert answer.status_code == 400
        assert answer.headers["content-type"] == "application/problem+json"
        assert said in answer.json()["detail"]
        assert log.of(topics.WEBHOOKS) == []


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "fd00::1"])
def test_an_address_inside_is_refused_at_once(address: str) -> None:
    with edge(addresses=["93.184.215.14", address]) as (call, log):
        answer = call("POST", json={"url": URL})
        assert answer.status_code == 400
        assert answer.json()["title"] == "invalid_url"
        assert address not in answer.text
        assert log.of(topics.WEBHOOKS) == []


def test_a_tenant_may_have_so_many() -> None:
    with edge() as (call, _):
        for _ in range(MOST):
            made(call)
        assert call("POST", json={"url": URL}).status_code == 409
        assert call("POST", who="other:admin", json={"url": URL}).status_code == 201


@pytest.mark.parametrize(
    ("method", "path", "roles"),
    [
        ("POST", "", {"admin"}),
        ("GET", "", {"admin", "read"}),
        ("GET", "/{id}", {"admin", "read"}),
        ("DELETE", "/{id}", {"admin"}),
        ("POST", "/{id}/rotate", {"admin"}),
        ("POST", "/{id}/enable", {"admin"}),
        ("POST", "/{id}/test", {"admin"}),
        ("GET", "/{id}/deliveries", {"admin", "read"}),
    ],
)
def test_each_path_asks_for_its_role(method: str, path: str, roles: set[str]) -> None:
    with edge() as (call, _):
        where = path.format(id=made(call)["id"])
        for role in ("publish", "read", "admin"):
            expected = role in roles
            status = call(method, where, who=f"acme:{role}", **({"json": {"url": URL}} if method == "POST" else {})).status_code
            assert (status < 300) is expected, (role, status)
            assert expected or status == 403
        assert call(method, where, who="").status_code == 401


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/{id}"),
        ("DELETE", "/{id}"),
        ("POST", "/{id}/rotate"),
        ("POST", "/{id}/enable"),
        ("POST", "/{id}/test"),
        ("GET", "/{id}/deliveries"),
    ],
)
def test_anothers_webhook_is_as_unknown_as_none(monkeypatch: pytest.MonkeyPatch, method: str, path: str) -> None:
    monkeypatch.setattr(module, "_APPEARS_WITHIN_S", 0.05)
    with edge() as (call, log):
        one = made(call)["id"]
        before = len(log.lines)
        theirs = call(method, path.format(id=one), who="other:admin")
        nobodys = call(method, path.format(id=f"{one[:-1]}x"), who="other:admin")
        assert theirs.status_code == nobodys.status_code == 404
        assert theirs.text.replace(one, "") == nobodys.text.replace(f"{one[:-1]}x", "")
        assert len(log.lines) == before
        assert call("GET", who="other:read").json() == {"data": []}


def test_what_is_deleted_is_gone() -> None:
    with edge() as (call, log):
        one = made(call)["id"]
        assert call("DELETE", f"/{one}").status_code == 204
        assert log.of(topics.WEBHOOKS)[-1].value == b""
        assert call("GET").json() == {"data": []}


def test_a_rotation_gives_a_new_secret_and_both_sign() -> None:
    with edge() as (call, log):
        one = made(call)
        rotated = call("POST", f"/{one['id']}/rotate").json()
        assert rotated["secret"] != one["secret"]
        assert rotated["rotated_at"]
        signed = headers_of(SECRET, log.endpoint(one["id"]), "msg_1", "{}", now=datetime.now(UTC))
        for secret in (one["secret"], rotated["secret"]):
            Webhook(secret).verify("{}", signed)


def test_what_was_disabled_is_enabled_again() -> None:
    with edge() as (call, log):
        one = made(call)["id"]
        disabled = replace(log.endpoint(one), disabled_at=datetime.now(UTC), disabled_reason="it has failed for 5 days")
        log.put(topics.WEBHOOKS, one, log.serde.encode(disabled))
        shown = call("GET", f"/{one}").json()
        assert (shown["enabled"], shown["disabled_reason"]) == (False, "it has failed for 5 days")
        assert call("POST", f"/{one}/enable").json()["enabled"] is True
        assert log.endpoint(one).enabled_at is not None
        lines = len(log.lines)
        assert call("POST", f"/{one}/enable").json()["enabled"] is True
        assert len(log.lines) == lines, "what is enabled stays as it is"


@pytest.mark.parametrize(("status", "http_status"), [(DeliveryStatus.DELIVERED, 200), (DeliveryStatus.GIVEN_UP, 500)])
def test_a_test_says_what_came(status: DeliveryStatus, http_status: int) -> None:
    with edge() as (call, log):
        log.answer = status
        one = made(call)["id"]
        answer = call("POST", f"/{one}/test")
        assert answer.status_code == 200, answer.text
        told = answer.json()
        assert (told["event"], told["status"], told["http_status"], told["answer"]) == (TEST, status.value, http_status, "hi")
        assert [each["id"] for each in call("GET", f"/{one}/deliveries").json()["data"]] == [told["id"]]


def test_a_test_that_nobody_makes_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_TESTED_WITHIN_S", 0.3)
    with edge() as (call, log):
        log.answer = None
        answer = call("POST", f"/{made(call)['id']}/test")
        assert answer.status_code == 504
        assert "`webhooks`" in answer.json()["detail"]


def test_deliveries_are_shown_as_they_stand_now_the_latest_first() -> None:
    with edge() as (call, log):
        one = made(call)["id"]
        now = datetime.now(UTC)
        waiting = delivery("msg_1", webhook_id=one, at=now, not_before=now + timedelta(minutes=5))
        log.tell_of(waiting, now - timedelta(days=3))
        log.tell_of(replace(waiting, attempt=1, http_status=500, error="it was answered with 500"), now - timedelta(hours=2))
        done = delivery("msg_2", webhook_id=one, status=DeliveryStatus.DELIVERED, attempt=1, body=None, http_status=204)
        log.tell_of(done, now)
        for number in range(20):  # others' in the same partition
            log.tell_of(delivery(f"msg_x{number}", webhook_id=f"wh-{number}"), now)
        told = call("GET", f"/{one}/deliveries").json()["data"]
        assert [(each["id"], each["status"], each["attempts"]) for each in told] == [
            ("msg_2", "delivered", 1),
            ("msg_1", "waiting", 1),
        ]
        assert told[1]["next_attempt_at"] is not None
        assert told[0]["next_attempt_at"] is None
        assert "body" not in told[1]
        assert [each["id"] for each in call("GET", f"/{one}/deliveries?limit=1").json()["data"]] == ["msg_2"]


@pytest.mark.parametrize("limit", ["0", "501", "-1", "x", "", "1e3", "\u0663"])
def test_a_limit_that_cannot_be_is_refused(limit: str) -> None:
    with edge() as (call, _):
        assert call("GET", f"/{made(call)['id']}/deliveries", params={"limit": limit}).status_code == 400


def test_while_the_log_is_away_nothing_is_promised() -> None:
    with edge() as (call, log):
        one = made(call)["id"]
        log.away = True
        for method, path in (("POST", ""), ("DELETE", f"/{one}"), ("POST", f"/{one}/rotate"), ("POST", f"/{one}/test")):
            answer = call(method, path, **({"json": {"url": URL}} if method == "POST" else {}))
            assert answer.status_code == 503, (method, path, answer.text)
            assert answer.headers["retry-after"]


async def test_an_endpoint_that_another_process_has_just_made_is_waited_for() -> None:
    log = Log()
    endpoints = Endpoints(Process(log).runtime)
    waiting = asyncio.create_task(endpoints.appears("wh-1", within_s=20))
    await asyncio.sleep(0)
    assert not waiting.done()
    log.put(topics.WEBHOOKS, "wh-1", log.serde.encode(endpoint("wh-1")))
    endpoints._apply(log.lines[-1])
    assert await waiting == endpoint("wh-1")
    assert await endpoints.appears("wh-2", within_s=0.05) is None
