"""Tokens of one's own issuer open a running stack: for their tenant, with their roles, and with the issuer's keys of today."""

import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from tests.integration.edge.conftest import Edge
from tests.integration.edge.issuer import Issuer, SigningKey

pytestmark = [pytest.mark.stack, pytest.mark.timeout(240)]

_IN_A_ROW = 16
"""So many equal answers, each on a connection of its own, come of both processes of the edge."""


@pytest.fixture(scope="module")
def client(edge: Edge) -> Iterator[httpx.Client]:
    """A connection for each request, so that either process is met."""
    alone = httpx.Limits(max_keepalive_connections=0)
    with httpx.Client(base_url=edge.url, limits=alone, timeout=90, verify=False) as client:
        yield client


def bearing(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def got(client: httpx.Client, token: str, path: str = "/v1/models") -> httpx.Response:
    return client.get(path, headers=bearing(token))


def settled(client: httpx.Client, token: Callable[[], str], status: int) -> httpx.Response:
    """The answer of every process, once it is of that status: a key that is new to a process is asked for, and 503 meanwhile."""
    give_up, alike = time.monotonic() + 60, 0
    while alike < _IN_A_ROW:
        answer = got(client, token())
        alike = alike + 1 if answer.status_code == status else 0
        assert time.monotonic() < give_up, answer.text
        if answer.status_code == 503:
            assert answer.headers["retry-after"] == "1"
            time.sleep(0.2)
    return answer


@pytest.fixture(scope="module")
def token(client: httpx.Client, issuer: Issuer) -> Callable[..., str]:
    """Makes tokens of a reader of `birch`, with the key that the issuer has then; every process has met that of the beginning."""

    def made(**claims: Any) -> str:
        return issuer.key.token(**({"tenant": "birch", "roles": ["read"]} | claims))

    settled(client, made, 200)
    return made


def asked() -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": f"Name a river. {uuid.uuid4()}"}]}


def test_a_token_asks_and_reads_for_its_tenant_alone(edge: Edge, client: httpx.Client, token: Callable[..., str]) -> None:
    headers = bearing(token(roles="publish read")) | {"prefer": "wait=60"}
    answer = client.post("/v1/requests", json=asked(), headers=headers)
    assert answer.status_code == 200, answer.text
    assert (answer.json()["tenant"], answer.json()["status"]) == ("birch", "ok")
    path = f"/v1/requests/{answer.json()['request_id']}"
    assert got(client, token(), path).status_code == 200
    assert got(client, token(tenant="ash"), path).status_code == 404
    with edge.client("birch") as ours:
        assert ours.get(path).status_code == 200, "a key of that tenant and a token of it see the same"


def test_a_token_may_do_what_its_roles_allow(client: httpx.Client, token: Callable[..., str]) -> None:
    for role, costs, settings in (("read", 200, 403), ("publish", 403, 403), ("admin", 200, 200)):
        assert got(client, token(roles=[role]), "/v1/costs").status_code == costs, role
        assert got(client, token(roles=[role]), "/v1/config/routing").status_code == settings, role
    chat = {"model": "auto", **asked()}
    refused = client.post("/v1/chat/completions", json=chat, headers=bearing(token()))
    assert refused.status_code == 403
    assert "`publish`" in refused.json()["error"]["message"]


def test_a_token_that_does_not_hold_is_refused_with_the_reason(client: httpx.Client, token: Callable[..., str]) -> None:
    now = int(time.time())
    for claims, reason in (
        ({"exp": now - 60}, "has expired"),
        ({"nbf": now + 600}, "does not hold yet"),
        ({"aud": "somebody-else"}, "for another audience"),
        ({"iss": "https://elsewhere.example"}, "of another issuer"),
        ({"tenant": None}, "names no tenant"),
    ):
        answer = got(client, token(**claims))
        assert answer.status_code == 401, claims
        assert reason in answer.json()["error"]["message"]
        assert answer.headers["www-authenticate"] == "Bearer"


def test_the_issuers_keys_of_today_hold_and_no_others(client: httpx.Client, issuer: Issuer, token: Callable[..., str]) -> None:
    before, stranger = issuer.key, SigningKey("nobody's")
    claims = {"tenant": "birch", "roles": ["read"]}
    assert got(client, SigningKey(before.kid).token(**claims)).status_code == 401, "its name, and another's signature"
    issuer.key = SigningKey("second")
    settled(client, token, 200)
    gone = got(client, before.token(**claims))
    assert gone.status_code in {401, 503}, "the key that was taken back opens nothing"
    unknown = settled(client, lambda: stranger.token(**claims), 401)
    assert "a key that its issuer does not have" in unknown.json()["error"]["message"]
    assert settled(client, lambda: before.token(**claims), 401).json() == unknown.json()
