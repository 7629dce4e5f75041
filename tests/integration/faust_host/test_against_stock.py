"""Plain Faust code loses events on stock Faust and does not on our host, on both builds of Faust.

Each test asserts both sides: what stock Faust 0.15.3 does (so that an upgrade that mends it is noticed), and what ours does.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from tests.fakes.stack import RunningKafka
from tests.integration.faust_host.rig import Rig

HERE = "tests.integration.faust_host"
ROOT = Path(__file__).parents[3]

pytestmark = pytest.mark.stack

Outcome = dict[str, Any]


def start(module: str, *arguments: str, build: str, **more: Any) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONFAULTHANDLER": "1"}
    environment.pop("NO_CYTHON", None)
    if build == "pure":
        environment["NO_CYTHON"] = "1"
    return subprocess.Popen([sys.executable, "-m", f"{HERE}.{module}", *arguments], env=environment, text=True, **more)


@pytest.fixture(scope="module")
def outcomes(kafka: RunningKafka) -> dict[tuple[str, str], Outcome]:
    """Every scenario, on stock and ours, on both builds: four processes at once."""
    running = {
        (kind, build): start("rig", kind, kafka.bootstrap_servers, build=build, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for kind in ("stock", "ours")
        for build in ("compiled", "pure")
    }
    found = {}
    try:
        for which, process in running.items():
            try:
                out, errors = process.communicate(timeout=90)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGABRT)  # the fault handler says where it stands
                pytest.fail(f"{which} did not end: {process.communicate()[1][-6000:]}")
            assert process.returncode == 0, errors[-4000:]
            found[which] = json.loads(out.splitlines()[-1])
    finally:
        for process in running.values():
            process.kill()
            process.communicate()
    return found


@pytest.fixture(params=["compiled", "pure"])
def build(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def both(outcomes: dict[tuple[str, str], Outcome], build: str, request: pytest.FixtureRequest) -> Iterator[tuple[Any, Any]]:
    """(stock, ours) of the scenario that the test is named after."""
    scenario = request.function.__name__.removeprefix("test_")
    return outcomes["stock", build][scenario], outcomes["ours", build][scenario]


def test_noack_fresh_group(both: tuple[Outcome, Outcome]) -> None:
    stock, ours = both
    assert stock["acked"] == ours["acked"] == [4, 5, 6, 7, 8, 9]
    assert stock["committed"] == 10  # 0 to 3 are still in flight
    assert ours["committed"] == 0


def test_concurrent_actors(both: tuple[Outcome, Outcome]) -> None:
    stock, ours = both
    assert stock == {"before": 5, "while_in_flight": 10, "after": 10}  # 5 is still in flight
    assert ours == {"before": 5, "while_in_flight": 5, "after": 10}


def test_agent_raises(both: tuple[Outcome, Outcome]) -> None:
    stock, ours = both
    assert stock == {"failed": None, "committed": 5}  # record 2 is lost and nobody is told
    assert ours == {"failed": "RuntimeError", "committed": 2}


def test_agent_cancelled(both: tuple[Outcome, Outcome]) -> None:
    stock, ours = both
    assert stock["committed"] == 3  # record 2 was not done
    assert ours["committed"] == 2


def test_produce_fails(both: tuple[Outcome, Outcome]) -> None:
    stock, ours = both
    assert stock == {"failed": None, "committed": 1}  # the output is lost
    assert ours == {"failed": "MessageSizeTooLargeError", "committed": -1}


def test_decode_fails(both: tuple[Outcome, Outcome]) -> None:
    stock, ours = both
    assert stock == {"failed": None, "committed": 2, "seen": [1]}  # the second record is gone, and nothing of it is kept
    assert ours == {"failed": "MalformedRecord", "committed": 1, "seen": [1]}


def test_aborted_transaction(both: tuple[Outcome, Outcome]) -> None:
    stock, ours = both
    assert stock["seen"] == ["aborted", "committed"]
    assert ours["seen"] == ["committed"]


def test_reply_header(both: tuple[Outcome, Outcome]) -> None:
    stock, ours = both
    assert stock["replies"] == 1  # sent to a topic that the sender of the record chose
    assert ours == {"headers": ["traceparent"], "replies": 0}


def test_partition_moves(both: tuple[Outcome, Outcome]) -> None:
    stock, ours = both
    assert stock["in_work"] == {"0": 5, "1": 5}  # committed past the two records in work
    assert stock["seen"]["B"] == []  # so the new owner never gets the one of its partition
    moved, kept = ours["moved"], ours["kept"]
    assert ours["in_work"] == {"0": 0, "1": 0}
    assert ours["seen"]["B"] == [f"{moved}:0"]  # and not what was done behind it
    assert ours["seen"]["A"].count(f"{kept}:0") == 1  # in work here, and its partition stayed: not delivered twice
    assert ours["a_done"] == {kept: 5, moved: 0}  # the late word about the moved one does not count


def test_table_recovery(both: tuple[Outcome, Outcome]) -> None:
    stock, ours = both
    assert stock == {"record": {"k": "1"}, "marker": "hangs"}
    assert ours == {"record": {"k": "1"}, "marker": {"k": "1"}}


def test_exactly_once(both: tuple[Outcome, Outcome]) -> None:
    stock, ours = both
    # What the agent sent is visible although its transaction has not committed; and where Faust does look for a transaction, it
    # looks by a topic it does not know.
    assert stock == {"visible": 1, "committed": -1, "transactional_id": "KeyError"}
    assert "processing_guarantee" in ours["refused"]


@pytest.mark.parametrize(("kind", "missing"), [("stock", {"0"}), ("ours", set())])
async def test_killed_in_the_middle(kafka: RunningKafka, build: str, kind: str, missing: set[str], tmp_path: Path) -> None:
    """kill -9 while record 0 is in work and all others are done and committed; then a second life."""
    count, notes, group = 200, tmp_path / "notes", f"group-{uuid.uuid4().hex[:12]}"
    notes.touch()

    def noted() -> set[str]:
        return set(notes.read_text().split())

    async with Rig(kafka.bootstrap_servers, stock=True) as rig:
        topic = await rig.topic()
        await _fill(rig.producer, topic, count)
        first = start(
            "killed", kind, kafka.bootstrap_servers, group, topic, str(notes), "0", build=build, stderr=subprocess.DEVNULL
        )
        try:
            assert _wait(lambda: len(noted()) == count - 1)
            time.sleep(1.0)  # noqa: ASYNC251 - five commit intervals of the other process
        finally:
            first.send_signal(signal.SIGKILL)
            first.wait()
        second = start(
            "killed", kind, kafka.bootstrap_servers, group, topic, str(notes), "none", build=build, stderr=subprocess.DEVNULL
        )
        try:
            await rig.produce(topic, b"last")
            assert _wait(lambda: "last" in noted())
            _wait(lambda: len(noted()) == count + 1, timeout_s=1.0)
        finally:
            second.kill()
            second.wait()
    assert {str(n) for n in range(count)} - noted() == missing


async def _fill(producer: AIOKafkaProducer, topic: str, count: int) -> None:
    for n in range(count):
        await producer.send(topic, b"%d" % n, partition=0)
    await producer.flush()


@pytest.mark.parametrize(("kind", "listens"), [("stock", True), ("ours", False)])
async def test_web_port(kafka: RunningKafka, build: str, kind: str, listens: bool, tmp_path: Path) -> None:
    """Under Faust's `worker` command with `web_enabled=False`: the stock app serves its tables on 0.0.0.0, ours opens no port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    async with Rig(kafka.bootstrap_servers, stock=True) as rig:
        topic = await rig.topic()
    log = tmp_path / "log"
    with log.open("w") as out:
        arguments = [
            kind,
            kafka.bootstrap_servers,
            topic,
            "--datadir",
            str(tmp_path),
            "worker",
            "-l",
            "info",
            "--web-port",
            str(port),
        ]
        worker = start("webbed", *arguments, build=build, stdout=out, stderr=out)
        try:
            assert _wait(lambda: "Worker ready" in log.read_text()), log.read_text()[-4000:]
            assert _listens(port) == listens
        finally:
            worker.kill()
            worker.wait()


def _listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def _wait(true: Any, timeout_s: float = 20.0) -> bool:
    deadline = time.monotonic() + timeout_s
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True
