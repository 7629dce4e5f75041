"""What commands say when there is nothing to talk to: a clear message, the documented exit code, no traceback."""

import asyncio
import json
import socket
import subprocess
import time
import urllib.parse

import pytest
from aiokafka.errors import KafkaConnectionError

from streams import bootstrap
from streams.bootstrap import broker_answers
from streams.settings import Settings
from tests.integration.cli.command import COMMAND, InProcess, Penstock, environment

COMMANDS = (
    "up", "worker", "simulate", "catalogue", "init", "demo", "ask", "publish", "consume", "costs", "topics", "doctor", "verify"
)  # fmt: skip


@pytest.fixture
def penstock(tmp_path):
    return Penstock(tmp_path)


@pytest.fixture
def quick(tmp_path, monkeypatch, capfd):
    return InProcess(tmp_path, monkeypatch, capfd)


def test_help_is_quick_and_names_every_command(penstock):
    took = []
    for _ in range(3):
        began = time.monotonic()
        found = penstock("--help")
        took.append(time.monotonic() - began)
    assert found.code == 0
    for command in COMMANDS:
        assert command in found.out
    assert min(took) < 2.0, "the command line must not import Kafka clients to print its help"


def test_the_version(penstock):
    assert penstock("--version").out.startswith("penstock 0.")


@pytest.mark.parametrize(
    "command", [["ask", "hi"], ["costs"], ["topics"], ["consume", "costs"], ["verify"], ["init"], ["worker", "--role", "intake"]]
)
def test_no_stack_and_no_broker_named(quick, command):
    found = quick(*command)
    assert found.code == 2
    assert "penstock up" in found.err
    assert found.out == ""


@pytest.mark.parametrize("command", [["ask", "hi"], ["costs"], ["topics"], ["consume", "costs"], ["verify"], ["init"]])
def test_a_broker_that_is_away(quick, command):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, and not listening: nothing answers
        found = quick(*command, "--bootstrap-servers", f"127.0.0.1:{taken.getsockname()[1]}")
    assert found.code == 2
    assert "no Kafka answers at 127.0.0.1" in found.err


@pytest.mark.parametrize(
    ("command", "why"),
    [
        (["ask"], "Missing argument"),
        (["sing"], "No such command"),
        (["publish"], "name a FILE"),
        (["publish", "nowhere.jsonl", "--dry-run"], "cannot be read"),
        (["publish", "-", "--trace", "x.csv"], "one of them"),
        (["publish", "--trace", "x.csv", "--rate", "3"], "--speed"),
        (["publish", "-", "--output", "x"], "--wait"),
        (["publish", "-", "--format", "xml"], "--format"),
        (["consume", "nonsense", "--bootstrap-servers", "x:1"], "choose responses"),
        (["consume", "costs", "--from", "noon"], "beginning"),
        (["costs", "--by", "colour"], "--by takes"),
        (["worker", "--role", "sing"], "there is no role"),
        (["worker", "--role", "calls"], "there is no role"),
        (["up", "--providers", "nobody"], "no provider nobody"),
        (["up", "--no-simulator"], "OPENAI_API_KEY"),
        (["simulate", "--fault", "nonsense"], "simulator:"),
    ],
)
def test_usage_and_settings_are_refused_with_code_2(quick, command, why):
    found = quick(*command)
    assert found.code == 2, found
    assert why in found.err


def test_a_wrong_variable_is_named(tmp_path):
    found = Penstock(tmp_path, variables=(("PENSTOCK_PARTITIONS", "many"), ("PENSTOCK_BOOTSTRAP_SERVERS", "x:1")))("costs")
    assert found.code == 2
    assert "PENSTOCK_PARTITIONS" in found.err
    assert "many" not in found.err


def test_doctor_says_what_to_do_without_anything_running(penstock):
    found = penstock("doctor")
    assert found.code == 1
    assert "penstock up" in found.out
    assert "OPENAI_API_KEY" in found.out


def test_doctor_shows_no_key(tmp_path):
    secret = "sk-very-secret"
    found = Penstock(tmp_path, variables=(("OPENAI_API_KEY", secret),))("doctor", "--json")
    assert secret not in found.out + found.err
    keys = {check["name"]: check["level"] for check in found.lines}
    assert (keys["key openai"], keys["key anthropic"]) == ("ok", "warn")


def test_dry_run_needs_no_broker_and_names_bad_lines(penstock):
    lines = '{"messages": [{"role": "user", "content": "a"}]}\n{"messages": 1}\n\nplain\n'
    found = penstock("publish", "-", "--dry-run", "--json", stdin=lines)
    assert found.code == 1
    assert found.json["published"] == 1
    assert [bad["line"] for bad in found.json["bad"]] == [2, 4]
    strict = penstock("publish", "-", "--dry-run", "--json", "--strict", stdin=lines)
    assert [bad["line"] for bad in strict.json["bad"]] == [2]


@pytest.mark.parametrize("part", ["simulate", "catalogue"])
def test_a_part_by_itself_says_where_it_listens_as_one_object(tmp_path, part):
    process = subprocess.Popen(
        [*COMMAND, part, "--port", "0", "--json"], cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, text=True
    )
    try:
        said = json.loads(process.stdout.readline())
        assert said["ready"] == ("simulator" if part == "simulate" else part)
        address = urllib.parse.urlsplit(said["url"])
        with socket.create_connection((address.hostname, address.port), timeout=5):
            pass
    finally:
        process.terminate()
        assert process.wait(timeout=10) == 0
        process.stdout.close()


async def test_a_worker_waits_for_a_broker_that_is_away_and_heeds_a_stop_meanwhile():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        settings = Settings(_env_file=None, bootstrap_servers=f"127.0.0.1:{taken.getsockname()[1]}")
        stop = asyncio.Event()
        waiting = asyncio.create_task(broker_answers(settings, stop))
        await asyncio.sleep(0.6)
        assert not waiting.done()
        stop.set()
        assert await waiting is False


async def test_a_worker_gives_up_on_a_broker_that_stays_away(monkeypatch):
    monkeypatch.setattr(bootstrap, "_BROKER_AWAY_S", 0.3)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        settings = Settings(_env_file=None, bootstrap_servers=f"127.0.0.1:{taken.getsockname()[1]}")
        with pytest.raises(KafkaConnectionError):
            await broker_answers(settings, asyncio.Event())
