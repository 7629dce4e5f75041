"""GET /v1/live on a running stack: what is asked shows within a second or two, to whom it concerns and to nobody else."""

import itertools
import json
import os
import signal
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.integration.edge.conftest import Edge

PATIENCE_S = 60


def events(response: httpx.Response) -> Iterator[tuple[str, dict[str, Any]]]:
    name = ""
    for line in response.iter_lines():
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data: "):
            yield name, json.loads(line.removeprefix("data: "))


def ask(edge: Edge, tenant: str) -> str:
    """The id of a request of the tenant that was answered: a new one, which no cache has."""
    text = f"Say one word, and not {time.monotonic_ns()}."
    with edge.client(tenant) as client:
        body = {"model": "auto", "messages": [{"role": "user", "content": text}]}
        answer = client.post("/v1/chat/completions", json=body)
        assert answer.status_code == 200, answer.text
        return str(answer.headers["x-request-id"])


def watch(edge: Edge, key: tuple[str, ...], **params: str) -> Any:
    headers = {"authorization": f"Bearer {edge.key(*key)}"}
    return httpx.stream("GET", f"{edge.url}/v1/live", params=params, headers=headers, timeout=PATIENCE_S)


def until(told: Iterator[tuple[str, dict[str, Any]]], wanted: Any) -> dict[str, Any]:
    """What the events come to, once `wanted` is true of it."""
    state: dict[str, Any] = {}
    give_up = time.monotonic() + PATIENCE_S
    for name, data in told:
        assert name in {"snapshot", "update"}
        added = {each: state.get(each, []) + data.get(each, []) for each in ("requests", "dead_letters")}
        state = data if name == "snapshot" else {**state, **data, **added}
        if wanted(state):
            return state
        assert time.monotonic() < give_up, f"never came: {list(state)}"
    raise AssertionError("the stream ended")


def ids(state: dict[str, Any]) -> set[str]:
    return {entry["request_id"] for entry in state["requests"]}


def test_what_is_asked_shows_to_its_tenant_and_to_admins(edge: Edge) -> None:
    theirs = ask(edge, "globex")
    with watch(edge, ("acme", "read")) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        told = events(response)
        name, snapshot = next(told)
        assert (name, snapshot["tenant"]) == ("snapshot", "acme")
        mine = ask(edge, "acme")
        state = until(itertools.chain([(name, snapshot)], told), lambda s: mine in ids(s) and s["spend"]["day_calls"])
        assert theirs not in ids(state)
        assert {row["name"] for row in state["spend"]["by_tenant"]} == {"acme"}
        assert state["lag"] is None
    with watch(edge, ("ops", "admin")) as response:
        state = until(events(response), lambda s: {mine, theirs} <= ids(s) and s["lag"])
    assert {"acme", "globex"} <= {row["name"] for row in state["spend"]["by_tenant"]}
    assert {"penstock-intake", "penstock-dispatch"} <= {row["group"] for row in state["lag"]}
    assert {row["circuit"] for row in state["health"]} == {"closed"}
    entry = next(entry for entry in state["requests"] if entry["request_id"] == mine)
    assert (entry["status"], entry["tenant"], entry["attempts"]) == ("ok", "acme", 1)
    assert sum(state["series"]["answered"]) or state["minute"]["answered"]


def test_an_admin_may_look_at_one_tenant(edge: Edge) -> None:
    mine = ask(edge, "acme")
    with watch(edge, ("ops", "admin"), tenant="acme") as response:
        state = until(events(response), lambda s: mine in ids(s))
    assert state["tenant"] == "acme"
    assert {entry["tenant"] for entry in state["requests"]} == {"acme"}


@pytest.mark.parametrize(("key", "params"), [(("acme", "publish"), {}), (("acme", "read"), {"tenant": "globex"})])
def test_nobody_else_may(edge: Edge, key: tuple[str, ...], params: dict[str, str]) -> None:
    with edge.client(*key) as client:
        assert client.get("/v1/live", params=params).status_code == 403


@pytest.mark.slow
def test_a_process_that_is_watched_still_stops(edge: Edge) -> None:
    """A stream that never ends must not keep it: the supervisor starts another one."""
    with watch(edge, ("ops", "admin")) as response:
        told = events(response)
        next(told)
        before = edge.pids()
        for pid in before:
            os.kill(pid, signal.SIGTERM)
        ended_s = time.monotonic()
        try:
            for _ in told:
                assert time.monotonic() - ended_s < PATIENCE_S
        except httpx.TransportError:
            pass  # cut off, or ended: either will do
    give_up = time.monotonic() + PATIENCE_S
    while set(edge.pids()) & set(before):
        assert time.monotonic() < give_up, "a process of the edge did not stop"
        time.sleep(0.2)
    ask(edge, "acme")
