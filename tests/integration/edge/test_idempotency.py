"""Idempotency-Key on a running stack of two edge processes: a request is asked once, whatever comes twice."""

import asyncio
import json
import os
import signal
import time
import uuid

import httpx
import pytest

from tests.integration.edge.conftest import Edge

pytestmark = [pytest.mark.stack, pytest.mark.timeout(240)]

PATHS = ["/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/responses", "/v1/messages"]


def new_key() -> str:
    return f"key-{uuid.uuid4().hex}"


def chat(text: str, *, out: int = 10) -> dict:
    return {"model": "auto", "max_tokens": 400, "messages": [{"role": "user", "content": f"[[sim in=10 out={out}]] {text}"}]}


def body_of(path: str, text: str) -> dict:
    match path:
        case "/v1/completions":
            return {"model": "auto", "prompt": text}
        case "/v1/embeddings":
            return {"model": "text-embedding-3-small", "input": text}
        case "/v1/responses":
            return {"model": "auto", "input": text}
        case _:
            return chat(text)


def finally_answered(client: httpx.Client, path: str, body: dict, key: str) -> httpx.Response:
    give_up = time.monotonic() + 60
    while True:
        try:
            answer = client.post(path, json=body, headers={"idempotency-key": key})
        except httpx.TransportError:
            answer = None
        if answer is not None and answer.status_code not in {409, 503}:
            return answer
        assert time.monotonic() < give_up, "no answer" if answer is None else answer.text
        time.sleep(0.2)


def asked_as(edge: Edge, tenant: str, word: str) -> int:
    """Under how many ids the tenant's requests that hold the word stand in the log."""
    out = edge.penstock("consume", "requests", "--tenant", tenant, "--json").out
    ids = [r["record"]["request_id"] for r in map(json.loads, out.splitlines()) if word in json.dumps(r["record"])]
    return len(set(ids))


@pytest.mark.parametrize("path", PATHS)
def test_the_first_answer_comes_again(edge: Edge, path: str) -> None:
    key, body = new_key(), body_of(path, f"Name a river. {uuid.uuid4()}")
    with edge.client("acme") as client:
        first = finally_answered(client, path, body, key)
        again = [finally_answered(client, path, body, key) for _ in range(4)]
        assert first.status_code == 200, first.text
        other = client.post(path, json=body_of(path, "Something else."), headers={"idempotency-key": key})
        assert other.status_code == 422, other.text
    content = {json.dumps(_answer(each.json()), sort_keys=True) for each in (first, *again)}
    assert len(content) == 1
    assert {each.headers["x-penstock-cost-nanousd"] for each in again} == {first.headers["x-penstock-cost-nanousd"]}


def _answer(body: dict) -> dict:
    """What stays the same from answer to answer: all but the time of the answer, which is not part of it."""
    return {name: value for name, value in body.items() if name not in {"created", "created_at", "completed_at"}}


async def test_two_that_race_ask_once(edge: Edge) -> None:
    """Ten connections over both processes with one key at once: one asks, the others hear that it is under way."""
    key, word = new_key(), uuid.uuid4().hex
    headers = {"authorization": f"Bearer {edge.key('acme')}", "idempotency-key": key}

    async def ask() -> httpx.Response:
        async with httpx.AsyncClient(base_url=edge.url, headers=headers, timeout=60) as client:
            return await client.post("/v1/chat/completions", json=chat(word, out=50))

    answers = await asyncio.gather(*(ask() for _ in range(10)))
    codes = sorted(answer.status_code for answer in answers)
    assert set(codes) <= {200, 409}, [answer.text for answer in answers]
    assert 200 in codes
    for answer in answers:
        if answer.status_code == 409:
            assert answer.headers["retry-after"]
            assert answer.json()["error"]["code"] == "in_flight"
    ids = {answer.json()["id"] for answer in answers if answer.status_code == 200}
    assert len(ids) == 1
    with edge.client("acme") as client:
        assert finally_answered(client, "/v1/chat/completions", chat(word, out=50), key).json()["id"] in ids
    assert await asyncio.to_thread(asked_as, edge, "acme", word) == 1


def test_a_native_request_is_the_same_one_again(edge: Edge) -> None:
    key, body = new_key(), {"messages": [{"role": "user", "content": f"Name a river. {uuid.uuid4()}"}]}
    with edge.client("acme") as client:
        answers = [client.post("/v1/requests", json=body, headers={"idempotency-key": key}) for _ in range(5)]
        accepted = {answer.headers["location"] for answer in answers if answer.status_code in {200, 202}}
        assert len(accepted) == 1, [(answer.status_code, answer.text) for answer in answers]
        assert {answer.status_code for answer in answers} <= {200, 202, 409}
        waited = finally_answered(client, "/v1/requests", body, key)
        assert waited.headers["location"] in accepted


def test_a_key_belongs_to_its_tenant(edge: Edge) -> None:
    key = new_key()
    with edge.client("acme") as client, edge.client("nosy") as nosy:
        first = finally_answered(client, "/v1/chat/completions", chat("Name a river."), key)
        theirs = finally_answered(nosy, "/v1/chat/completions", chat("Name a lake."), key)
    assert first.status_code == theirs.status_code == 200
    assert first.json()["id"] != theirs.json()["id"]


def test_what_cannot_be_asked_claims_nothing(edge: Edge) -> None:
    key = new_key()
    with edge.client("acme") as client:
        for _ in range(2):
            bad = client.post("/v1/chat/completions", json={**chat("x"), "temperature": 99}, headers={"idempotency-key": key})
            assert bad.status_code == 400, bad.text
        assert finally_answered(client, "/v1/chat/completions", chat("Name a river."), key).status_code == 200


@pytest.mark.slow
def test_the_first_answer_comes_again_after_all_processes_were_killed(edge: Edge) -> None:
    key, body, word = new_key(), None, uuid.uuid4().hex
    body = chat(word)
    with edge.client("acme") as client:
        first = finally_answered(client, "/v1/chat/completions", body, key)
        for pid in edge.pids():
            os.kill(pid, signal.SIGKILL)
    with edge.client("acme") as client:
        again = finally_answered(client, "/v1/chat/completions", body, key)
    assert first.status_code == again.status_code == 200
    assert _answer(again.json()) == _answer(first.json())
    assert asked_as(edge, "acme", word) == 1
