"""Keys: made, used, refused, revoked; and one tenant's key says whose request it is."""

import json
import time

import httpx
import pytest

from tests.integration.edge.conftest import Edge

pytestmark = [pytest.mark.stack, pytest.mark.timeout(240)]

ASK = {"model": "auto", "messages": [{"role": "user", "content": "Name a river."}]}


def test_without_a_key_nobody_comes_in(edge: Edge) -> None:
    for headers in ({}, {"authorization": "Bearer nonsense"}, {"authorization": "Bearer pk-0a1b2c3d4e5f-nonsense"}):
        answer = httpx.post(f"{edge.url}/v1/chat/completions", json=ASK, headers=headers)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"
        assert "penstock keys create" in answer.json()["error"]["message"]


def test_a_key_without_the_role_is_told_which_it_lacks(edge: Edge) -> None:
    with edge.client("acme", "read") as client:
        answer = client.post("/v1/chat/completions", json=ASK)
        assert answer.status_code == 403
        assert "`publish`" in answer.json()["error"]["message"]


def test_the_tenant_is_the_keys_and_never_the_bodys(edge: Edge) -> None:
    with edge.client("acme") as client:
        answer = client.post("/v1/chat/completions", json={**ASK, "tenant": "other", "metadata": {"tenant": "other"}})
    assert answer.status_code == 200
    explained = edge.penstock("explain", answer.headers["x-request-id"], "--tenant", "acme", "--json")
    assert explained.code == 0, explained.err
    assert '"other"' not in json.dumps(json.loads(explained.out).get("tenant"))


def test_a_revoked_key_opens_nothing_within_five_seconds(edge: Edge) -> None:
    key = edge.key("leaving", "read")
    done = edge.penstock("keys", "revoke", key.split("-")[1])
    assert done.code == 0, done.err
    revoked_at = time.monotonic()
    refusals = 0
    while refusals < 12:
        answer = httpx.get(f"{edge.url}/v1/models", headers={"authorization": f"Bearer {key}"})
        refusals = refusals + 1 if answer.status_code == 401 else 0
        assert time.monotonic() - revoked_at < 20, "a revoked key still opens"
    listed = {k["key_id"]: k for k in json.loads(edge.penstock("keys", "list", "--json").out)}
    assert listed[key.split("-")[1]]["revoked_at"] is not None
    assert "mac" not in listed[key.split("-")[1]]
    assert key not in json.dumps(listed)


def test_a_key_that_does_not_exist_is_not_revoked(edge: Edge) -> None:
    done = edge.penstock("keys", "revoke", "0a1b2c3d4e5f")
    assert done.code == 1
    assert "keys list" in done.err
