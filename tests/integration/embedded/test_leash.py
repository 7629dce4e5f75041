"""No child outlives its parent, however the parent ends."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from schemas.errors import SettingsError
from streams.embedded.spawner import Spawner
from tests.integration.embedded.conftest import alive, comes_true

GONE_WITHIN_S = 20.0
FAMILY = ("sh", "-c", "sleep 600 & echo $!; wait")  # a child and, on its output, the pid of a grandchild
DEAF = (
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)",
)

PARENT = f"""
import asyncio, sys
from pathlib import Path
from streams.embedded.spawner import Spawner

async def main(directory):
    async with Spawner(log=directory / "leash.log", end_grace_s=1.0) as spawner:
        family = await spawner.spawn("family", {FAMILY!r}, env={{"PATH": "/usr/bin:/bin"}}, log=directory / "family.log")
        deaf = await spawner.spawn("deaf", {DEAF!r}, env={{}}, log=directory / "deaf.log")
        print(spawner.pid, family.pid, deaf.pid, flush=True)
        await asyncio.sleep(600)

asyncio.run(main(Path(sys.argv[1])))
"""


@pytest.fixture
async def doomed(tmp_path):
    """A parent in a process of its own: its pid, and the pids of its leash, its children and its grandchild."""
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PARENT, str(tmp_path), stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(Path.cwd())}
    )
    leash, family, deaf = (int(pid) for pid in (await parent.stdout.readline()).split())
    assert await comes_true(lambda: (tmp_path / "family.log").read_text().endswith("\n"), within_s=20)
    assert await comes_true(lambda: "deaf" in (tmp_path / "deaf.log").read_text(), within_s=20)
    pids = {"leash": leash, "family": family, "deaf": deaf, "grandchild": int((tmp_path / "family.log").read_text())}
    assert all(alive(pid) for pid in pids.values())
    try:
        yield parent, pids
    finally:
        if parent.returncode is None:
            parent.kill()
        await parent.wait()
        await comes_true(lambda: not any(alive(pid) for pid in pids.values()), within_s=GONE_WITHIN_S)


async def test_kill_9_of_the_parent_leaves_nobody(doomed):
    parent, pids = doomed

    parent.kill()

    assert await comes_true(lambda: not any(alive(pid) for pid in pids.values()), within_s=GONE_WITHIN_S)


async def test_kill_9_of_the_parent_and_the_leash_at_once_leaves_no_child(doomed):
    parent, pids = doomed

    os.kill(pids["leash"], signal.SIGKILL)
    parent.kill()

    children = [pids["family"], pids["deaf"]]
    assert await comes_true(lambda: not any(alive(pid) for pid in children), within_s=GONE_WITHIN_S)
    os.kill(pids["grandchild"], signal.SIGKILL)  # nobody was left to follow the family so far


async def test_kill_9_of_the_leash_ends_the_children_and_is_noticed(tmp_path):
    async with Spawner(log=tmp_path / "leash.log") as spawner:
        child = await spawner.spawn("child", ("sleep", "600"), env={"PATH": os.environ["PATH"]}, log=tmp_path / "child.log")
        os.kill(spawner.pid, signal.SIGKILL)

        assert await asyncio.wait_for(child.exited, GONE_WITHIN_S) == -signal.SIGKILL
        assert await comes_true(lambda: not alive(child.pid), within_s=GONE_WITHIN_S)
        with pytest.raises(SettingsError, match="the leash has ended"):
            await spawner.spawn("late", ("sleep", "600"), env={}, log=tmp_path / "late.log")


async def test_a_terminal_s_interrupt_does_not_reach_the_children(doomed):
    _, pids = doomed

    os.kill(pids["leash"], signal.SIGINT)
    os.kill(pids["leash"], signal.SIGTERM)
    await asyncio.sleep(0.3)

    assert all(alive(pid) for pid in pids.values())
    assert len({os.getsid(pid) for pid in (os.getpid(), pids["leash"], pids["family"], pids["deaf"])}) == 4


async def test_leaving_the_block_ends_every_child(tmp_path):
    async with Spawner(log=tmp_path / "leash.log", end_grace_s=0.5) as spawner:
        gentle = await spawner.spawn("gentle", ("sleep", "600"), env={"PATH": os.environ["PATH"]}, log=tmp_path / "log")
        deaf = await spawner.spawn("deaf", DEAF, env={}, log=tmp_path / "deaf.log")
        assert await comes_true(lambda: "deaf" in (tmp_path / "deaf.log").read_text(), within_s=20)

    assert await gentle.exited == -signal.SIGTERM
    assert await deaf.exited == -signal.SIGKILL
    assert not alive(spawner.pid)


async def test_a_child_that_is_done_takes_its_own_children_along(spawner, tmp_path):
    log = tmp_path / "log"
    child = await spawner.spawn("parent", ("sh", "-c", "sleep 600 & echo $!"), env={"PATH": os.environ["PATH"]}, log=log)

    assert await asyncio.wait_for(child.exited, 5) == 0
    grandchild = int(log.read_text())
    assert await comes_true(lambda: not alive(grandchild), within_s=20)


async def test_stop_reaches_a_process_that_is_stopped(spawner, tmp_path):
    child = await spawner.spawn("child", ("sleep", "600"), env={"PATH": os.environ["PATH"]}, log=tmp_path / "log")
    os.kill(child.pid, signal.SIGSTOP)
    began = time.monotonic()

    assert await child.stop(grace_s=10) == -signal.SIGTERM
    assert time.monotonic() - began < 5


async def test_who_waits_for_an_end_and_is_cancelled_spoils_nothing(tmp_path):
    async with Spawner(log=tmp_path / "leash.log", end_grace_s=1.0) as spawner:
        child = await spawner.spawn("sleeper", ("sleep", "600"), env={"PATH": "/usr/bin:/bin"}, log=tmp_path / "sleeper.log")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(child.exited, 0.01)
        child.send_signal(signal.SIGKILL)
        other = await spawner.spawn("true", ("true",), env={"PATH": "/usr/bin:/bin"}, log=tmp_path / "true.log")
        assert await other.exited == 0
    assert not alive(child.pid)


async def test_what_cannot_be_executed_is_named(spawner, tmp_path):
    with pytest.raises(SettingsError, match=r"cannot start ghost.*No such file"):
        await spawner.spawn("ghost", ("/no/such/program",), env={}, log=tmp_path / "log")


async def test_the_environment_is_the_given_one_alone(spawner, tmp_path, monkeypatch):
    monkeypatch.setenv("NOT_FOR_CHILDREN", "1")
    log = tmp_path / "log"
    child = await spawner.spawn("env", ("/usr/bin/env",), env={"FOR_CHILDREN": "1"}, log=log)

    assert await asyncio.wait_for(child.exited, 5) == 0
    assert log.read_text() == "FOR_CHILDREN=1\n"


async def test_the_leash_is_small(spawner):
    process = psutil.Process(spawner.pid)

    assert await comes_true(lambda: process.num_fds() >= 4, within_s=20)  # it has started: its wake-up pipe is there
    assert process.memory_info().rss < 20 * 2**20
