"""A part that dies comes back; one that refuses its settings does not; a stop stays a stop."""

import asyncio
import os
import signal

import pytest

from schemas.errors import SettingsError
from streams.embedded.children import RESTART_FIRST_S, Child, State
from streams.embedded.events import Exited, Failed, Ready, Restarted, Starting, Stopped
from streams.embedded.parts import Program
from tests.integration.embedded.conftest import alive, comes_true


@pytest.fixture
def watch(spawner, tmp_path):
    """Supervise a shell script; what was reported is in the second value."""

    def supervise(script, name="part", **options):
        program = Program(
            name=name,
            argv=("/bin/sh", "-c", script),
            environment={"PATH": os.environ["PATH"]},
            log=tmp_path / f"{name}.log",
            run_dir=tmp_path,
            spawner=spawner,
            ready_timeout_s=3.0,
        )
        reported = []
        return Child(program, reported.append, **options), reported

    return supervise


STEADY = 'echo > "$PENSTOCK_READY_FILE"; exec sleep 600'


def kinds(reported):
    return [type(event) for event in reported]


async def test_a_part_that_is_killed_comes_back(watch):
    child, reported = watch(STEADY)
    await child.start()
    first = child.pid

    os.kill(first, signal.SIGKILL)

    assert await comes_true(lambda: child.restarts == 1 and child.running, within_s=20)
    assert child.pid != first
    assert kinds(reported) == [Starting, Ready, Exited, Restarted]
    assert reported[2] == Exited("part", -signal.SIGKILL, RESTART_FIRST_S)
    await child.stop(grace_s=1)


async def test_a_part_does_not_come_back_before_what_it_needs(watch):
    broker = {"runs": True}
    child, reported = watch(STEADY, needed_runs=lambda: broker["runs"])
    await child.start()
    broker["runs"] = False
    os.kill(child.pid, signal.SIGKILL)

    assert await comes_true(lambda: Exited in kinds(reported), within_s=20)
    await asyncio.sleep(4 * RESTART_FIRST_S)
    assert (child.restarts, child.state) == (0, State.WAITING)
    broker["runs"] = True
    assert await comes_true(lambda: child.restarts == 1 and child.running, within_s=20)
    await child.stop(grace_s=1)


async def test_the_pause_before_a_restart_doubles(watch, tmp_path):
    child, reported = watch(f'echo x >> {tmp_path}/starts; echo > "$PENSTOCK_READY_FILE"; sleep 0.1; exit 7')
    await child.start()

    assert await comes_true(lambda: child.restarts == 3, within_s=10)
    await child.stop(grace_s=1)

    exits = [event for event in reported if isinstance(event, Exited)]
    assert [event.restart_in_s for event in exits[:3]] == [0.25, 0.5, 1.0]
    assert {event.exit_code for event in exits[:3]} == {7}


async def test_a_part_that_refuses_its_settings_is_given_up(watch):
    child, reported = watch('echo > "$PENSTOCK_READY_FILE"; sleep 0.2; echo "set A_KEY first"; exit 2')
    await child.start()

    assert await comes_true(lambda: child.state is State.FAILED, within_s=20)
    assert kinds(reported) == [Starting, Ready, Failed]
    assert child.restarts == 0
    await child.stop(grace_s=1)


async def test_what_refuses_to_start_is_quoted(watch):
    child, reported = watch('echo "set A_KEY first" >&2; exit 2')

    with pytest.raises(SettingsError, match="part refused to start: set A_KEY first"):
        await child.start()
    assert kinds(reported) == [Starting]


async def test_what_ends_before_it_is_ready_names_its_log(watch, tmp_path):
    child, _ = watch("exit 9")

    with pytest.raises(SettingsError, match=f"part ended with code 9; the reason is in {tmp_path}/part.log"):
        await child.start()


async def test_what_never_becomes_ready_is_killed(watch, tmp_path):
    child, _ = watch(f"echo $$ > {tmp_path}/pid; exec sleep 600")

    with pytest.raises(SettingsError, match="part was not ready after 3 s"):
        await child.start()
    pid = int((tmp_path / "pid").read_text())
    assert await comes_true(lambda: not alive(pid), within_s=20)


async def test_a_stop_is_not_undone_by_a_restart(watch):
    child, reported = watch(STEADY)
    await child.start()
    os.kill(child.pid, signal.SIGKILL)
    assert await comes_true(lambda: Exited in kinds(reported), within_s=20)  # it waits for its restart now

    await child.stop(grace_s=1)
    await asyncio.sleep(2 * RESTART_FIRST_S)

    assert child.state is State.STOPPED
    assert child.pid is None
    assert kinds(reported) == [Starting, Ready, Exited, Stopped]


async def test_a_part_can_be_started_again_after_a_stop(watch):
    child, _ = watch(STEADY)
    await child.start()
    await child.stop(grace_s=1)

    await child.start()

    assert child.running
    await child.stop(grace_s=1)
    await child.stop(grace_s=1)
