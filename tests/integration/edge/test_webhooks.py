"""Webhooks on a running stack: made over HTTP, told of real requests, by a process of their own that may be killed."""

import asyncio
import json
import os
import signal
import uuid

import httpx
import pytest

from tests.integration.edge.conftest import Edge
from tests.integration.webhooks.receiver import Receiver, receiving, until

pytestmark = [pytest.mark.stack, pytest.mark.timeout(240)]

ROLES = ("publish", "read", "admin")


def client(edge: Edge, tenant: str) -> httpx.AsyncClient:
    headers = {"authorization": f"Bearer {edge.key(tenant, *ROLES)}"}
    return httpx.AsyncClient(base_url=edge.url, headers=headers, timeout=40)


async def made(http: httpx.AsyncClient, receiver: Receiver, path: str) -> dict:
    answer = await http.post("/v1/webhooks", json={"url": f"{receiver.url}{path}", "description": "a test's"})
    assert answer.status_code == 201, answer.text
    return answer.json()


async def asked(http: httpx.AsyncClient, text: str) -> str:
    body = {"model": "auto", "max_tokens": 20, "messages": [{"role": "user", "content": f"{text} {uuid.uuid4()}"}]}
    answer = await http.post("/v1/chat/completions", json=body)
    assert answer.status_code == 200, answer.text
    return answer.headers["x-request-id"]


async def test_a_request_is_told_of_though_its_receiver_fails_twice(edge: Edge) -> None:
    path = f"/{uuid.uuid4().hex}"
    async with receiving() as receiver, client(edge, "acme") as http:
        receiver.failing_first(2)
        webhook = await made(http, receiver, path)
        request_id = await asked(http, "Name a river.")
        await until(lambda: len(receiver.of(path)) >= 3)
        tries = receiver.of(path)
        assert {message.data["request_id"] for message in tries} == {request_id}
        assert len({(message.id, message.body) for message in tries}) == 1
        assert all(message.believed(webhook["secret"]) for message in tries)
        told = (await http.get(f"/v1/requests/{request_id}")).json()
        assert tries[0].data["cost_nanousd"] == told["cost"]["nanousd"]
        assert tries[0].data["output"]["content"] == told["response"]["output"]["content"]

        async def delivered() -> list[dict]:
            return (await http.get(f"/v1/webhooks/{webhook['id']}/deliveries")).json()["data"]

        async with asyncio.timeout(20):
            while [d["status"] for d in await delivered()] != ["delivered"]:  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        [one] = await delivered()
        assert (one["request_id"], one["attempts"], one["http_status"]) == (request_id, 3, 200)
        assert (await http.delete(f"/v1/webhooks/{webhook['id']}")).status_code == 204


async def test_a_test_is_made_now_and_says_what_came(edge: Edge) -> None:
    path = f"/{uuid.uuid4().hex}"
    async with receiving() as receiver, client(edge, "acme") as http:
        webhook = await made(http, receiver, path)
        good = (await http.post(f"/v1/webhooks/{webhook['id']}/test")).json()
        assert (good["status"], good["http_status"]) == ("delivered", 204)
        [message] = receiver.of(path)
        assert message.believed(webhook["secret"])
        rotated = (await http.post(f"/v1/webhooks/{webhook['id']}/rotate")).json()
        receiver.answer = lambda _: 418
        bad = (await http.post(f"/v1/webhooks/{webhook['id']}/test")).json()
        assert (bad["status"], bad["http_status"], bad["answer"]) == ("given_up", 418, "noted")
        assert len(receiver.of(path)) == 2, "a test is tried once"
        for secret in (webhook["secret"], rotated["secret"]):
            assert receiver.of(path)[-1].believed(secret)
        assert (await http.delete(f"/v1/webhooks/{webhook['id']}")).status_code == 204


async def test_one_tenant_neither_sees_nor_hears_of_anothers(edge: Edge) -> None:
    ours, theirs = f"/{uuid.uuid4().hex}", f"/{uuid.uuid4().hex}"
    async with receiving() as receiver, client(edge, "acme") as http, client(edge, "nosy") as nosy:
        webhook, other = await made(http, receiver, ours), await made(nosy, receiver, theirs)
        for answer in (
            await nosy.get(f"/v1/webhooks/{webhook['id']}"),
            await nosy.get(f"/v1/webhooks/{webhook['id']}/deliveries"),
            await nosy.post(f"/v1/webhooks/{webhook['id']}/rotate"),
            await nosy.delete(f"/v1/webhooks/{webhook['id']}"),
        ):
            assert answer.status_code == 404
        assert [each["id"] for each in (await nosy.get("/v1/webhooks")).json()["data"]] == [other["id"]]
        await asked(http, "Name a river.")
        await until(lambda: len(receiver.of(ours)) == 1)
        await asyncio.sleep(0.3)
        assert receiver.of(theirs) == []
        for each, owner in ((webhook, http), (other, nosy)):
            assert (await owner.delete(f"/v1/webhooks/{each['id']}")).status_code == 204


async def test_an_address_inside_is_refused_and_http_reaches_loopback_alone(edge: Edge) -> None:
    async with client(edge, "acme") as http:
        for url in ("https://127.0.0.1/", "https://localhost/", "https://169.254.169.254/", "http://10.0.0.1/", "https://[::1]/"):
            answer = await http.post("/v1/webhooks", json={"url": url})
            assert (answer.status_code, answer.json()["title"]) == (400, "invalid_url"), url


def pids(edge: Edge) -> list[int]:
    parts = json.loads((edge.data_dir / "stack.json").read_text())["parts"]
    return [part["pid"] for name, part in parts.items() if name.startswith("webhooks-")]


@pytest.mark.slow
async def test_kill_9_loses_no_message(edge: Edge) -> None:
    """The process is killed three times, while receivers refuse each message twice; every request is told of all the same."""
    path, wanted = f"/{uuid.uuid4().hex}", set()
    async with receiving() as receiver, client(edge, "acme") as http:
        webhook = await made(http, receiver, path)
        receiver.failing_first(2)
        for _ in range(3):
            wanted |= set(await asyncio.gather(*(asked(http, "Name a river.") for _ in range(20))))
            known = pids(edge)
            for pid in known:
                os.kill(pid, signal.SIGKILL)
            await until(lambda known=known: pids(edge) != known, within_s=60)
        wanted |= set(await asyncio.gather(*(asked(http, "Name a lake.") for _ in range(20))))
        good: set[str] = set()

        def all_told() -> bool:
            counts = receiver.counts(path)
            good.update(request_id for request_id, times in counts.items() if times >= 3)
            return good >= wanted

        await until(all_told, within_s=120)
        assert {message.data["request_id"] for message in receiver.of(path)} == wanted
        assert all(message.believed(webhook["secret"]) for message in receiver.of(path)[-20:])
        bodies: dict[str, set[str]] = {}
        for message in receiver.of(path):
            bodies.setdefault(message.id, set()).add(message.body)
        assert len(bodies) == len(wanted), "one id a message, whatever is killed"
        assert all(len(each) == 1 for each in bodies.values())
        assert (await http.delete(f"/v1/webhooks/{webhook['id']}")).status_code == 204
