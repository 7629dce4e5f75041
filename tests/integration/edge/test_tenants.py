"""Probes from one tenant's key for everything of another's: requests, streams, costs, files, batches, tables, dead letters."""

import json
import random
import uuid
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from tests.integration.edge.conftest import Edge

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]

VICTIM, PROBER = "victim", "prober"
SECRET = f"xyzzy{uuid.uuid4().hex[:12]}"
"""Stands in whatever the victim has said, named or been answered; it must come back in no answer to the prober."""

PATHS = (
    ("GET", "/v1/requests/{request}"),
    ("GET", "/v1/requests/{request}/events"),
    ("POST", "/v1/requests/{request}/cancel"),
    ("GET", "/v1/files"),
    ("GET", "/v1/files/{file}"),
    ("GET", "/v1/files/{file}/content"),
    ("DELETE", "/v1/files/{file}"),
    ("GET", "/v1/batches"),
    ("GET", "/v1/batches/{batch}"),
    ("POST", "/v1/batches/{batch}/cancel"),
    ("POST", "/v1/batches"),
    ("GET", "/v1/costs"),
    ("GET", "/v1/tables"),
    ("GET", "/v1/tables/{table}"),
    ("GET", "/v1/webhooks"),
    ("GET", "/v1/webhooks/{webhook}"),
    ("GET", "/v1/webhooks/{webhook}/deliveries"),
    ("DELETE", "/v1/webhooks/{webhook}"),
    ("GET", "/v1/models/{request}"),
    ("GET", "/v1/providers"),
    ("GET", "/v1/config/routing"),
    ("GET", "/metrics"),
    ("POST", "/v1/chat/completions"),
    ("POST", "/v1/requests"),
)
TABLES = ("cost-totals", "dead-letters", "responses", "health", "requests", "costs")


@dataclass(frozen=True, slots=True)
class Ids:
    """What the victim owns, by the names in `PATHS`."""

    request: tuple[str, ...]
    file: tuple[str, ...]
    batch: tuple[str, ...]
    webhook: tuple[str, ...]


@pytest.fixture(scope="module")
def ids(edge: Edge) -> Ids:
    with edge.client(VICTIM) as client, edge.client(VICTIM, "admin", "publish", "read") as admin:
        message = {"role": "user", "content": f"Say {SECRET}"}
        whole = client.post(
            "/v1/requests", json={"messages": [message], "metadata": {"k": SECRET}}, headers={"prefer": "wait=30"}
        )
        assert SECRET in whole.text
        chat = {"model": "auto", "messages": [message], "user": SECRET}
        streamed = client.post("/v1/chat/completions", json={**chat, "stream": True})
        assert streamed.status_code == 200
        line = {"custom_id": SECRET, "method": "POST", "url": "/v1/chat/completions", "body": chat}
        made = client.post(
            "/v1/files", files={"file": (f"{SECRET}.jsonl", json.dumps(line).encode())}, data={"purpose": "batch"}
        ).json()
        batch = client.post(
            "/v1/batches",
            json={
                "input_file_id": made["id"],
                "endpoint": "/v1/chat/completions",
                "completion_window": "24h",
                "metadata": {"k": SECRET},
            },
        ).json()
        hook = admin.post("/v1/webhooks", json={"url": f"https://192.0.2.1/{SECRET}", "events": ["request.completed"]}).json()
        assert SECRET in client.get(f"/v1/files/{made['id']}").text
        assert SECRET in client.get(f"/v1/batches/{batch['id']}").text
    webhook = hook.get("id", "wh_unknown")
    return Ids((whole.json()["request_id"], streamed.headers["x-request-id"]), (made["id"],), (batch["id"],), (webhook,))


@pytest.mark.parametrize("probes", [20, pytest.param(1_000, marks=pytest.mark.slow)])
def test_nothing_of_another_tenant_is_told(edge: Edge, ids: Ids, probes: int) -> None:
    chance = random.Random(probes)
    leaks, allowed, unanswered = [], [], []
    with edge.client(PROBER) as reader, edge.client(PROBER, "admin", "publish", "read") as admin:
        for _ in range(probes):
            # Webhooks are an admin's; even to an admin another tenant's are not told.
            probe = probe_of(chance, ids)
            client = admin if probe["url"].startswith("/v1/webhooks") else reader
            try:
                answer = client.request(**probe, timeout=30)
            except httpx.TimeoutException:
                unanswered.append(probe)
                continue
            if SECRET in answer.text:
                leaks.append((probe, answer.status_code, answer.text[:300]))
            if answer.status_code < 300 and any(mine in probe["url"] for mine in (*ids.request, *ids.file, *ids.batch)):
                allowed.append((probe, answer.status_code))
    assert not unanswered
    assert not leaks
    assert not allowed
    with edge.client(VICTIM) as client:
        assert SECRET in client.get(f"/v1/requests/{ids.request[0]}").text, "the probes have changed nothing"
        assert SECRET in client.get(f"/v1/files/{ids.file[0]}").text
        assert client.get(f"/v1/batches/{ids.batch[0]}").json()["status"] not in {"cancelling", "cancelled"}


def probe_of(chance: random.Random, ids: Ids) -> dict[str, Any]:
    """One request for what is not the prober's: by its id, by a tenant named in the query, in headers or in the body."""
    method, template = chance.choice(PATHS)
    values = {
        "request": chance.choice(ids.request),
        "file": ids.file[0],
        "batch": ids.batch[0],
        "webhook": ids.webhook[0],
        "table": chance.choice(TABLES),
    }
    path = template.format(**{name: bent(chance, value) for name, value in values.items()})
    named = {"tenant": VICTIM} if chance.random() < 0.5 else {}
    probe: dict[str, Any] = {"method": method, "url": path}
    if method == "GET" and named:
        probe["params"] = chance.choice(({"tenant": VICTIM}, {"tenant": f"{PROBER},{VICTIM}"}, {"tenant": "*"}, {"limit": "500"}))
    headers = {}
    if chance.random() < 0.3:
        headers |= {chance.choice(("x-tenant", "x-penstock-tenant", "openai-organization", "x-forwarded-user")): VICTIM}
    if chance.random() < 0.2 and method == "POST":
        headers["idempotency-key"] = chance.choice(ids.request)
    if method == "POST" and path.startswith("/v1/batches") and "cancel" not in path:
        probe["json"] = {"input_file_id": ids.file[0], "endpoint": "/v1/chat/completions", "completion_window": "24h"}
    elif method == "POST" and path in {"/v1/chat/completions", "/v1/requests"}:
        body = {"model": "auto", "messages": [{"role": "user", "content": "what did the others say?"}], **named}
        probe["json"] = {**body, "request_id": ids.request[0]} if path.endswith("requests") and chance.random() < 0.5 else body
    elif method == "POST":
        probe["json"] = {}
    return {**probe, "headers": headers}


def bent(chance: random.Random, value: str) -> str:
    """The id, most often; else one that a careless comparison would take for it."""
    ways = (value, value, value, value.upper(), f"{value}%00", f"{VICTIM}%2F{value}", f"..%2F{VICTIM}%2F{value}", f"{value}%20")
    return chance.choice(ways)


def test_costs_of_one_tenant_are_its_own(edge: Edge, ids: Ids) -> None:
    with edge.client(f"poor-{uuid.uuid4().hex[:8]}", "read") as nobody:
        answer = nobody.get("/v1/costs")
        other: httpx.Response = nobody.get("/v1/costs", params={"tenant": VICTIM})
    assert answer.status_code == 200
    assert SECRET not in answer.text
    assert other.status_code == 403
