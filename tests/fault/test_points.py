"""Kill points: when they act, how often in a fleet, and that they can be armed and disarmed while the process runs."""

import asyncio
import json
import os

import pytest

from streams import faults
from tests.fault.kills import Kills


@pytest.fixture
def file(tmp_path, monkeypatch):
    """This process is told to look into the file, at every passing."""
    monkeypatch.setattr(faults, "_LOOK_EVERY_S", 0.0)
    monkeypatch.setattr(faults, "_armed", faults._Armed(f"@{tmp_path / 'armed'}"))
    return tmp_path / "armed"


def passed(point: str, times: int) -> int | None:
    """At which passing it acted."""
    for n in range(1, times + 1):
        try:
            faults.point(point, f"passing {n}")
        except faults.InjectedFault:
            return n
    return None


async def test_a_running_process_is_armed_and_says_what_it_did(file):
    assert passed("K9", 2) is None
    kills = Kills(file)
    await kills.arm("K9:3:raise")
    assert passed("K8", 5) is None
    assert passed("K9", 5) == 3
    acted = await kills.acted("K9", 1)
    assert (acted.point, acted.pid, acted.about) == ("K9", os.getpid(), "passing 3")


async def test_it_acts_once_and_again_when_it_is_armed_again(file):
    kills = Kills(file)
    await kills.arm("K9:1:raise")
    assert [passed("K9", 3), passed("K9", 3)] == [1, None]
    await kills.arm("K9:2:raise")
    assert passed("K9", 3) == 2
    await kills.disarm()
    assert passed("K9", 3) is None
    assert not faults.is_armed("K9")


async def test_of_a_fleet_one_process_acts(file, monkeypatch):
    await Kills(file).arm("K9:1:raise,K5:1:raise")
    assert passed("K9", 1) == 1
    monkeypatch.setattr(faults, "_armed", faults._Armed(f"@{file}"))
    assert passed("K9", 3) is None, "the same point has acted in another process"
    assert passed("K5", 1) == 1, "each point of an arming acts"


async def test_what_did_not_act_is_said(file):
    with pytest.raises(TimeoutError, match="K1 was not passed often enough"):
        await Kills(file).acted("K1", 0.01)


async def test_what_it_did_can_be_read_as_soon_as_it_is_there(file):
    await Kills(file).arm("K9:1:raise")
    passed("K9", 1)
    assert sorted(path.name for path in file.parent.iterdir()) == ["armed", "armed.K9"], "no draft is left behind"
    assert json.loads(await asyncio.to_thread((file.parent / "armed.K9").read_text))["point"] == "K9"
