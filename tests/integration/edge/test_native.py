"""The native interface on a running stack: a request published, waited for, shown with its lineage; and to nobody else."""

import json
import time
import uuid
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from tests.integration.edge.conftest import Edge

pytestmark = [pytest.mark.stack, pytest.mark.timeout(240)]


def asked(**more: object) -> dict[str, object]:
    return {"messages": [{"role": "user", "content": f"Name a river. {uuid.uuid4()}"}], **more}


def ended(client: httpx.Client, location: str) -> dict:
    """The request once it is answered and its cost is in the log."""
    give_up = time.monotonic() + 60
    while True:
        shown = client.get(location)
        assert shown.status_code == 200, shown.text
        if shown.json()["response"] is not None and shown.json()["cost"]["calls"]:
            return shown.json()
        assert time.monotonic() < give_up, shown.text
        time.sleep(0.1)


def test_a_request_is_accepted_and_shown_from_its_class_to_its_cost(edge: Edge) -> None:
    with edge.client("acme") as client:
        accepted = client.post("/v1/requests", json=asked(metadata={"order": "7"}))
        assert accepted.status_code == 202
        location = accepted.headers["location"]
        assert location == f"/v1/requests/{accepted.json()['request_id']}"
        shown = ended(client, location)
    assert shown["status"] == "ok"
    assert shown["response"]["output"]["content"]
    assert shown["response"]["metadata"] == {"order": "7"}
    kinds = [entry["kind"] for entry in shown["lineage"]]
    assert {"request", "decision", "call", "cost", "response"} == set(kinds)
    decision = next(entry["record"] for entry in shown["lineage"] if entry["kind"] == "decision")
    assert decision["candidates"]
    assert decision["task_kind"]
    assert shown["cost"] == {
        "nanousd": shown["response"]["cost_nanousd"],
        "avoided_nanousd": 0,
        "calls": 1,
        "unpriced_calls": 0,
    }
    labels = [line[:12].strip() for line in shown["explanation"] if line[:12].strip()]
    assert labels == ["request", "classified", "cache", "policy", "call 1", "final"]


def test_prefer_wait_gives_the_final_response(edge: Edge) -> None:
    with edge.client("acme") as client:
        answer = client.post("/v1/requests", json=asked(), headers={"prefer": "wait=30"})
    assert answer.status_code == 200, answer.text
    assert answer.headers["preference-applied"] == "wait=30"
    assert answer.json()["output"]["content"]
    assert answer.headers["location"].endswith(answer.json()["request_id"])
    assert answer.headers["x-penstock-attempts"] == "1"


def test_a_wait_that_is_too_short_ends_as_accepted(edge: Edge) -> None:
    slow = [{"role": "user", "content": f"[[sim in=10 out=200]] {uuid.uuid4()}"}]
    with edge.client("acme") as client:
        answer = client.post("/v1/requests", json={"messages": slow}, headers={"prefer": "wait=0"})
        assert answer.status_code == 202
        assert answer.json()["status"] == "queued"
        assert ended(client, answer.headers["location"])["status"] == "ok"


def test_what_cannot_be_asked_is_a_problem_of_rfc_9457(edge: Edge) -> None:
    over = (datetime.now(UTC) - timedelta(seconds=1)).isoformat()
    with edge.client("acme") as client:
        for body, word in (
            ({"messages": []}, "messages"),
            (asked(tenant="other"), "tenant"),
            (asked(request_id="mine"), "Idempotency-Key"),
            (asked(mesages=[]), "mesages"),
            (asked(deadline=over), "over"),
            (asked(deadline="2999-01-01T00:00:00"), "offset"),
        ):
            answer = client.post("/v1/requests", json=body)
            assert answer.status_code == 400, answer.text
            assert answer.headers["content-type"] == "application/problem+json"
            assert word in answer.json()["detail"]


def test_the_bodys_deadline_counts(edge: Edge) -> None:
    soon = datetime.now(UTC) + timedelta(seconds=20)
    with edge.client("acme") as client:
        accepted = client.post("/v1/requests", json=asked(deadline=soon.isoformat()))
        shown = ended(client, accepted.headers["location"])
    request = next(entry["record"] for entry in shown["lineage"] if entry["kind"] == "request")
    assert abs(datetime.fromisoformat(request["deadline"]) - soon) < timedelta(seconds=2)


def test_another_tenants_request_is_as_unknown_as_one_that_never_was(edge: Edge) -> None:
    with edge.client("acme") as client:
        location = client.post("/v1/requests", json=asked(), headers={"prefer": "wait=30"}).headers["location"]
        never = f"/v1/requests/req-{int(time.time() * 1000):012x}{uuid.uuid4().hex[:20]}"
        far = "/v1/requests/req-ffffffffffff" + "0" * 20
    with edge.client("nosy") as nosy:
        told = set()
        for path in (location, never, far, "/v1/requests/x", "/v1/requests/req--00000000000" + "0" * 20):
            for end in ("", "/events"):
                answer = nosy.get(path + end)
                own = path.removeprefix("/v1/requests/")
                told.add((answer.status_code, answer.json()["title"], answer.json()["detail"].partition(":")[0].replace(own, "")))
    assert told == {(404, "unknown_request", "there is no request ''")}


def test_a_request_of_another_way_in_is_shown_while_its_answer_is_recent(edge: Edge) -> None:
    name = f"by-hand-{uuid.uuid4().hex[:8]}"
    line = json.dumps({"request_id": name, **asked()})
    done = edge.penstock("publish", "-", "--tenant", "acme", "--wait", "--json", stdin=line + "\n")
    assert done.code == 0, done.err
    with edge.client("acme") as client, edge.client("nosy") as nosy:
        assert ended(client, f"/v1/requests/{name}")["status"] == "ok"
        assert nosy.get(f"/v1/requests/{name}").status_code == 404
