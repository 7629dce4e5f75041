"""Live says that the process answers, ready that requests should come here; neither asks for a key, or says more than that."""

from types import SimpleNamespace
from typing import Any

import pytest

from streams.edge import health_paths_broker
from streams.edge.health_paths import HealthPaths, caught_up
from streams.edge.health_paths_broker import Broker
from streams.embedded.ports import free_port
from streams.settings import Settings
from tests.unit.edge.operations_door import client, door


def holds(answer: bool):
    async def check() -> bool:
        return answer

    return check


def asked(checks, path: str):
    return client(door(), HealthPaths(checks).routes(), key="").get(path)


def test_live_without_a_key_whatever_is_away() -> None:
    answer = asked({"kafka": holds(False)}, "/health/live")
    assert (answer.status_code, answer.json()) == (200, {"status": "alive"})


@pytest.mark.parametrize(("kafka", "answers", "status"), [(True, True, 200), (False, True, 503), (True, False, 503)])
def test_ready_when_all_hold(kafka: bool, answers: bool, status: int) -> None:
    answer = asked({"kafka": holds(kafka), "answers": holds(answers)}, "/health/ready")
    assert (answer.status_code, answer.json()["checks"]) == (status, {"kafka": kafka, "answers": answers})
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("follower", "is_ready"),
    [(SimpleNamespace(caught_up=True), True), (SimpleNamespace(caught_up=False), False), (SimpleNamespace(), True)],
)
async def test_what_follows_the_log_must_have_caught_up(follower: object, is_ready: bool) -> None:
    assert await caught_up(follower)() is is_ready


async def test_a_broker_that_is_away_is_asked_once_in_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    address = f"127.0.0.1:{free_port()}"
    runtime: Any = SimpleNamespace(settings=Settings(_env_file=None), role="edge", bootstrap_servers=address)
    async with Broker(runtime).open() as broker:
        assert not await broker.answers()
        monkeypatch.setattr(broker, "_ask", holds(answer=True))
        assert not await broker.answers()
        monkeypatch.setattr(health_paths_broker, "_FRESH_S", 0.0)
        assert await broker.answers()
