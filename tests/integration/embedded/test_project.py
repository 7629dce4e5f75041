"""One stack a data directory; its addresses are found while it runs, and kept for its next start."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from schemas.errors import SettingsError
from streams.embedded.project import Project, RunningPart, StackInfo
from streams.embedded.spawner import Spawner

INFO = StackInfo(
    pid=os.getpid(),
    bootstrap_servers="127.0.0.1:9092",
    redis_url="redis://127.0.0.1:6379/0",
    schema_registry_url=None,
    simulator_url=None,
    simulator_log=None,
    providers=("openai",),
    parts={"kafka": RunningPart(pid=1, address="127.0.0.1:9092")},
)

HOLDER = """
import asyncio, sys
from pathlib import Path
from streams.embedded.project import Project
from streams.embedded.spawner import Spawner
from tests.integration.embedded.test_project import INFO
import dataclasses, os

async def main(directory):
    project = Project(directory)
    async with project.locked() as lock:
        async with Spawner(log=project.log("leash"), held=(lock,), end_grace_s=1.5) as spawner:
            deaf = "trap '' TERM; echo ready; while true; do sleep 1; done"
            await spawner.spawn("deaf", ("/bin/sh", "-c", deaf), env=dict(os.environ), log=project.log("deaf"))
            while not project.log("deaf").read_text():
                await asyncio.sleep(0.01)
            project.announce(dataclasses.replace(INFO, pid=os.getpid()))
            print("held", flush=True)
            await asyncio.sleep(600)

asyncio.run(main(Path(sys.argv[1])))
"""


@pytest.fixture
async def holder(tmp_path):
    """Another process that runs on the directory, with a child that does not hear SIGTERM."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HOLDER, str(tmp_path), stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(Path.cwd())}
    )
    assert await process.stdout.readline() == b"held\n"
    try:
        yield process
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGKILL)
        await process.wait()


async def test_a_second_stack_is_refused_and_told_which_process_holds_it(tmp_path, holder):
    with pytest.raises(SettingsError, match=rf"already runs on {tmp_path} \(process {holder.pid}\).*--data-dir"):
        async with Project(tmp_path).locked():
            pass


async def test_a_running_stack_is_found(tmp_path, holder):
    found = Project(tmp_path).running()

    assert found.pid == holder.pid
    assert found.bootstrap_servers == INFO.bootstrap_servers
    assert found.parts == INFO.parts
    assert found.providers == INFO.providers


async def test_after_kill_9_the_next_stack_waits_for_the_children_to_be_gone(tmp_path, holder):
    holder.kill()
    await holder.wait()
    assert Project(tmp_path).running() is None

    began = asyncio.get_running_loop().time()
    async with Project(tmp_path).locked():
        waited_s = asyncio.get_running_loop().time() - began

    assert 0.5 < waited_s < 6  # the leash grants its deaf child 1.5 s
    assert not (tmp_path / "stack.json").exists()


async def test_the_lock_is_free_after_an_orderly_end(tmp_path):
    project = Project(tmp_path)
    for _ in range(2):
        async with project.locked() as lock, Spawner(log=project.log("leash"), held=(lock,)):
            project.announce(INFO)
            assert project.running() == INFO
            project.withdraw()
    assert project.running() is None


async def test_a_description_without_a_lock_is_stale(tmp_path):
    project = Project(tmp_path)
    async with project.locked():
        project.announce(INFO)
    assert (tmp_path / "stack.json").exists()

    assert project.running() is None


def test_nothing_runs_where_nothing_is(tmp_path):
    assert Project(tmp_path / "nowhere").running() is None


async def test_a_port_is_kept_for_the_next_start(tmp_path):
    project = Project(tmp_path)

    first = project.port("kafka", 0, flag="--kafka-port")

    assert Project(tmp_path).port("kafka", 0, flag="--kafka-port") == first
    assert project.port("valkey", 0, flag="--valkey-port") != first


async def test_a_port_that_was_asked_for_is_kept_too(tmp_path):
    project = Project(tmp_path)
    wanted = project.port("valkey", 0, flag="--valkey-port")

    assert project.port("kafka", wanted, flag="--kafka-port") == wanted
    assert project.port("kafka", 0, flag="--kafka-port") == wanted


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0"])
async def test_a_taken_port_is_refused_with_the_flag_that_helps(tmp_path, address):
    with socket.socket() as taken:
        taken.bind((address, 0))
        taken.listen()
        port = taken.getsockname()[1]

        with pytest.raises(SettingsError, match=f"port {port} is taken.*--kafka-port"):
            Project(tmp_path).port("kafka", port, flag="--kafka-port")


async def test_a_recorded_port_that_was_taken_meanwhile_is_refused(tmp_path):
    port = Project(tmp_path).port("kafka", 0, flag="--kafka-port")
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", port))
        taken.listen()

        with pytest.raises(SettingsError, match=f"port {port}, which kafka had at its last start, is taken"):
            Project(tmp_path).port("kafka", 0, flag="--kafka-port")


async def test_a_directory_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(SettingsError, match=r"cannot write to the data directory .*--data-dir"):
        async with Project(tmp_path / "file").locked():
            pass


async def test_logs_of_earlier_starts_are_kept_up_to_a_number(tmp_path):
    project = Project(tmp_path)
    async with project.locked():
        for start in range(6):
            project.rotate_logs()
            project.log("kafka").write_text(f"start {start}")

    logs = sorted(path.name for path in (tmp_path / "logs").iterdir())
    assert logs == ["kafka.log", "kafka.log.1", "kafka.log.2", "kafka.log.3"]
    assert (tmp_path / "logs" / "kafka.log.1").read_text() == "start 4"
