"""Commands against a Kafka of the user's own, without any worker."""

import asyncio
import json
import signal
import threading
import time
from collections.abc import Iterator

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from schemas.requests import InferenceRequest, Message
from schemas.serde import Serde
from streams.edge.catalogue import serve
from tests.fakes.stack import RunningKafka, embedded_kafka
from tests.integration.cli.command import COMMAND, Penstock, environment

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def broker() -> Iterator[RunningKafka]:
    """A broker of our own: the topics have fixed names, and one test kills it."""
    with embedded_kafka() as running:
        yield running


@pytest.fixture(scope="module")
def penstock(broker, tmp_path_factory) -> Penstock:
    return Penstock(tmp_path_factory.mktemp("own"), ("--bootstrap-servers", broker.bootstrap_servers))


@pytest.fixture(scope="module")
def prepared(penstock) -> Penstock:
    """The topics stand."""
    assert penstock("init", "--partitions", "3").code == 0
    return penstock


def test_before_init_commands_say_what_is_missing(penstock):
    assert "penstock init" in penstock("consume", "responses").err
    listed = penstock("topics", "--json")
    assert listed.code == 1
    assert not any(line["exists"] for line in listed.lines)
    checks = {check["name"]: check for check in penstock("doctor", "--json").lines}
    assert checks["topics"]["level"] == "fail"
    assert "penstock init" in checks["topics"]["next_step"]


def test_init_creates_once_and_refuses_another_lane_count(prepared):
    again = prepared("init", "--partitions", "3", "--json")
    assert again.json["created"] == []
    assert again.json["schema_ids"]["InferenceRequest"] == 1
    other = prepared("init", "--partitions", "2")
    assert other.code == 2
    assert "--partitions 3" in other.err
    lines = {line["topic"]: line for line in prepared("topics", "--json").lines}
    assert lines["ai.requests.routed"]["partitions"] == 3
    assert lines["ai.health"]["partitions"] == 1


def test_init_registers_at_a_registry(prepared, tmp_path, broker):
    """Our own client, and the catalogue's REST face as the registry: both sides of the protocol."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    running = asyncio.run_coroutine_threadsafe(serve(), loop).result()
    try:
        penstock = Penstock(tmp_path, prepared.options, (("SCHEMA_REGISTRY_URL", running.url),))
        found = penstock("init", "--partitions", "3", "--json")
        assert found.json["registry"] == running.url
        assert found.json["schema_ids"]["CostEvent"] == 6
        checks = {check["name"]: check["level"] for check in penstock("doctor", "--json").lines}
        assert checks["schemas"] == "ok"
    finally:
        asyncio.run_coroutine_threadsafe(running.close(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
    away = Penstock(tmp_path, prepared.options, (("SCHEMA_REGISTRY_URL", running.url),))("doctor", "--json")
    assert {check["name"]: check["level"] for check in away.lines}["schemas"] == "fail"


async def test_what_is_no_record_is_shown_with_its_position_and_reading_goes_on(prepared, broker):
    request = InferenceRequest("r1", "acme", "auto", messages=(Message("user", "hi"),))
    values = (b"garbage", b"", Serde().encode(request), b"\x00\x00\x00\x00\x63rest", None)
    producer = AIOKafkaProducer(bootstrap_servers=broker.bootstrap_servers)
    await producer.start()
    try:
        for value in values:
            await producer.send_and_wait("ai.health", value, key=b"k", partition=0)
    finally:
        await producer.stop()
    found = await asyncio.to_thread(prepared, "consume", "health", "--json")
    assert found.code == 0
    told = [line.get("error", {}).get("reason") or line["type"] for line in found.lines]
    assert told == ["bad_magic", "truncated", "InferenceRequest", "unknown_schema", None]
    assert [line["offset"] for line in found.lines] == [0, 1, 2, 3, 4]
    pretty = await asyncio.to_thread(prepared, "consume", "health", "--from", "-2")
    assert "unreadable: unknown_schema" in pretty.out
    assert "(tombstone)" in pretty.out


async def test_an_aborted_transaction_is_not_shown(prepared, broker):
    producer = AIOKafkaProducer(bootstrap_servers=broker.bootstrap_servers, transactional_id="test-aborted")
    await producer.start()
    try:
        for commit in (True, False, True):
            await producer.begin_transaction()
            await producer.send_and_wait("ai.dead-letters", b"x", key=str(commit).encode(), partition=0)
            await (producer.commit_transaction() if commit else producer.abort_transaction())
    finally:
        await producer.stop()
    shown = await asyncio.to_thread(prepared, "consume", "dead-letters", "--json")
    assert [line["key"] for line in shown.lines] == ["True", "True"]
    last = await asyncio.to_thread(prepared, "consume", "dead-letters", "--from", "-1", "--json")
    assert [line["offset"] for line in last.lines] == [shown.lines[-1]["offset"]]


def test_ask_without_workers_times_out_with_3(prepared):
    found = prepared("ask", "hi", "--timeout", "0.5")
    assert found.code == 3
    assert "no answer within 0.5 s" in found.err


def test_publish_wait_without_workers_times_out_with_3(prepared):
    found = prepared("publish", "-", "--wait", "--timeout", "0.5", "--json", stdin="one\ntwo\n")
    assert found.code == 3
    assert (found.json["published"], found.json["unanswered"]) == (2, 2)


def test_doctor_says_that_no_role_runs(prepared):
    checks = {check["name"]: check for check in prepared("doctor", "--json").lines}
    assert checks["groups"]["level"] == "warn"
    assert checks["dead letters"]["level"] == "warn"
    assert checks["lanes"]["level"] == "fail", "this shell's settings say 2, the topics have 3"


async def test_what_is_logged_as_acknowledged_stands_in_the_log_though_the_broker_was_killed(prepared, broker, tmp_path):
    requests, log = tmp_path / "r.txt", tmp_path / "acknowledged.jsonl"
    requests.write_text("".join(f"question {n}\n" for n in range(600)))
    argv = (*COMMAND, "publish", str(requests), "--rate", "150", "--tenant", "killed", "--json", "--acknowledged-log", str(log))
    process = await asyncio.create_subprocess_exec(
        *argv, *prepared.options, env=environment(), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    give_up = time.monotonic() + 60
    while not log.exists() or log.read_bytes().count(b"\n") < 100:
        assert time.monotonic() < give_up
        await asyncio.sleep(0.02)
    await asyncio.to_thread(broker.kill, signal.SIGKILL)
    await asyncio.to_thread(broker.start)
    out, err = await asyncio.wait_for(process.communicate(), 120)
    assert b"Traceback" not in err, err
    report = json.loads(out)
    acknowledged = [json.loads(line)["request_id"] for line in log.read_text().splitlines()]
    assert len(acknowledged) == report["published"]
    assert len(set(acknowledged)) == len(acknowledged)
    assert set(acknowledged) <= await _published_ids(broker, "killed")
    assert report["published"] == 600, "the broker came back within the producer's patience"


async def _published_ids(broker: RunningKafka, tenant: str) -> set[str]:
    codec, found = Serde().of(InferenceRequest), set()
    consumer = AIOKafkaConsumer("ai.requests", bootstrap_servers=broker.bootstrap_servers, auto_offset_reset="earliest")
    await consumer.start()
    try:
        ends = await consumer.end_offsets(consumer.assignment())
        await consumer.seek_to_beginning()
        while any([await consumer.position(p) < end for p, end in ends.items()]):
            for records in (await consumer.getmany(timeout_ms=200)).values():
                found |= {request.request_id for r in records if (request := codec.decode(r.value)).tenant == tenant}
    finally:
        await consumer.stop()
    return found
