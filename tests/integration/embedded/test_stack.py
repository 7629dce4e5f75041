"""The whole stack starts, survives what dies in it, is found by others, and leaves nothing."""

import asyncio
import dataclasses
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import pytest_asyncio
from aiokafka.admin import AIOKafkaAdminClient

from schemas.errors import SettingsError
from streams.embedded.events import Exited, Ready, Restarted, Starting, Stopped
from streams.embedded.plan import Ports, StackPlan, every_role
from streams.embedded.project import Project
from streams.embedded.stack import Stack
from streams.settings import Settings
from tests.fakes.stack import embedded_kafka
from tests.integration.embedded.conftest import alive, comes_true

pytestmark = [pytest.mark.stack, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]

SERVICES = {"kafka", "valkey", "catalogue", "simulator"}
WORKERS = {"dispatch-0", "calls:openai-0", "tables-0", "health-0", "intake-0"}


def plan_for(data_dir, **changes):
    """A small plan without the environment's own settings: provider keys, addresses."""
    environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    plan = StackPlan(
        settings=Settings(_env_file=None, data_dir=data_dir, partitions=1),
        providers=("openai",),
        roles=every_role(("openai",)),
        environment=environment,
        simulator=True,
        broker_heap_mb=256,
    )
    return dataclasses.replace(plan, **changes)


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    return tmp_path_factory.mktemp("stack")


@pytest.fixture(scope="module")
def events():
    return []


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack(data_dir, events):
    stack = Stack(plan_for(data_dir), on_event=events.append)
    await stack.start()
    pids = [part.pid for part in stack.info.parts.values()]
    yield stack
    pids += [part.pid for part in stack.info.parts.values()]
    await stack.stop()
    await stack.stop()  # again: nothing to do
    assert [pid for pid in pids if alive(pid)] == []
    assert Project(data_dir).running() is None
    assert not (data_dir / "stack.json").exists()
    assert {event.name for event in events if isinstance(event, Stopped)} >= SERVICES | WORKERS


async def topics(bootstrap_servers):
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers)
    await admin.start()
    try:
        return set(await admin.list_topics())
    finally:
        await admin.close()


async def test_every_part_says_that_it_is_ready(stack, events):
    ready = {event.name: event for event in events if isinstance(event, Ready)}

    assert set(ready) == SERVICES | WORKERS
    assert ready["kafka"].address == stack.bootstrap_servers
    assert ready["valkey"].address == stack.settings.redis_url
    assert ready["simulator"].address == stack.settings.simulator_url
    assert all(alive(event.pid) for event in ready.values())
    assert {event.name for event in events if isinstance(event, Starting)} == set(ready)


async def test_workers_start_after_what_they_need(stack, events):
    order = [event.name for event in events if isinstance(event, Ready)]

    assert set(order[: len(SERVICES)]) == SERVICES


async def test_topics_are_there(stack):
    assert {"ai.requests", "ai.calls.openai", "ai.responses"} <= await topics(stack.bootstrap_servers)


async def test_other_processes_find_it(stack, data_dir):
    found = Project(data_dir).running()

    assert found == stack.info
    assert set(found.parts) == SERVICES | WORKERS
    assert found.pid == os.getpid()
    assert found.simulator_log == str(stack.simulator_log)


async def test_a_second_stack_on_the_same_data_is_refused(stack, data_dir):
    with pytest.raises(SettingsError, match=rf"already runs on .*process {os.getpid()}"):
        await Stack(plan_for(data_dir)).start()

    assert Project(data_dir).running() == stack.info


async def test_a_worker_that_is_killed_comes_back_and_is_announced(stack, data_dir, events):
    (before,) = stack.pids("dispatch")

    await stack.kill("dispatch")
    assert await comes_true(lambda: any(isinstance(e, Restarted) and e.name == "dispatch-0" for e in events), within_s=60)

    (after,) = stack.pids("dispatch")
    assert after != before
    assert Exited("dispatch-0", -signal.SIGKILL, 0.25) in events
    assert Project(data_dir).running().parts["dispatch-0"].pid == after
    assert Project(data_dir).running().parts["dispatch-0"].restarts == 1


async def test_a_role_can_be_taken_away_and_given_back(stack):
    (before,) = stack.pids("intake")

    await stack.halt("intake")
    assert stack.pids("intake") == []
    assert not alive(before)
    await stack.resume("intake")

    assert len(stack.pids("intake")) == 1


async def test_a_broker_that_is_killed_comes_back_with_its_data(stack):
    before = await topics(stack.bootstrap_servers)

    await stack.kill("kafka")
    await stack.until_running("kafka")

    assert await topics(stack.bootstrap_servers) == before


async def test_a_broker_can_be_restarted(stack):
    (before,) = stack.pids("kafka")

    await stack.restart_broker(down_s=0.2)

    assert stack.pids("kafka") != [before]
    assert "ai.requests" in await topics(stack.bootstrap_servers)


async def test_a_start_that_fails_leaves_nothing(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        plan = plan_for(tmp_path, ports=Ports(valkey=port))

        with pytest.raises(SettingsError, match=f"port {port} is taken.*--valkey-port"):
            await Stack(plan).start()

    async with Project(tmp_path).locked():
        pass
    assert not [p for p in psutil.process_iter(["cmdline"]) if str(tmp_path) in " ".join(p.info["cmdline"] or ())]


async def test_a_part_that_cannot_start_takes_the_rest_down_with_it(tmp_path):
    plan = plan_for(tmp_path, broker_overrides={"log.retention.hours": "soon"}, roles={})

    with pytest.raises(SettingsError, match=r"cannot format|kafka ended"):
        await Stack(plan).start()

    assert not [p for p in psutil.process_iter(["cmdline"]) if str(tmp_path) in " ".join(p.info["cmdline"] or ())]


async def test_what_the_operator_brings_is_not_started_again(tmp_path):
    with embedded_kafka(tmp_path / "theirs") as theirs:
        settings = Settings(
            _env_file=None,
            data_dir=tmp_path / "ours",
            bootstrap_servers=theirs.bootstrap_servers,
            redis_url="redis://127.0.0.1:1/0",
            schema_registry_url="http://127.0.0.1:2",
        )
        events = []
        async with Stack(plan_for(tmp_path, settings=settings, roles={}, simulator=False), on_event=events.append) as stack:
            assert stack.info.parts == {}
            assert stack.info.bootstrap_servers == theirs.bootstrap_servers
            assert stack.info.redis_url == settings.redis_url
            assert stack.info.schema_registry_url == settings.schema_registry_url
            assert "ai.requests" in await topics(theirs.bootstrap_servers)
        assert events == []


UP = """
import asyncio, sys
from pathlib import Path
from streams.embedded.stack import Stack
from tests.integration.embedded.test_stack import plan_for

async def main(directory):
    async with Stack(plan_for(directory)) as stack:
        print("up", flush=True)
        await asyncio.sleep(600)

asyncio.run(main(Path(sys.argv[1])))
"""


async def test_kill_9_of_the_parent_leaves_nobody_and_the_next_start_has_the_data(tmp_path):
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", UP, str(tmp_path), stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(Path.cwd())}
    )
    assert await parent.stdout.readline() == b"up\n"
    info = Project(tmp_path).running()
    pids = {name: part.pid for name, part in info.parts.items()}
    family = {child.pid for child in psutil.Process(parent.pid).children(recursive=True)}
    assert family > set(pids.values())  # the leash, too

    parent.kill()
    await parent.wait()

    assert await comes_true(lambda: not any(alive(pid) for pid in family), within_s=20), [n for n, p in pids.items() if alive(p)]
    assert Project(tmp_path).running() is None
    async with Stack(plan_for(tmp_path, roles={}, simulator=False)) as stack:
        assert stack.bootstrap_servers == info.bootstrap_servers  # the port of the last start
        assert "ai.requests" in await topics(stack.bootstrap_servers)
