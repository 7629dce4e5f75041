"""The embedded broker keeps its data, survives a kill, and listens nowhere else."""

import asyncio
import signal
import socket
import uuid

import aiokafka
import psutil
import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import UnknownTopicOrPartitionError

from schemas.errors import SettingsError
from streams.embedded.kafka import EmbeddedKafka, KafkaPlan
from streams.embedded.ports import free_port
from tests.fakes.stack import embedded_kafka
from tests.integration.embedded.conftest import alive

pytestmark = pytest.mark.stack


async def make_topic(bootstrap_servers, name):
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers, request_timeout_ms=20_000)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(name, num_partitions=1, replication_factor=1)])
    finally:
        await admin.close()


async def publish(bootstrap_servers, topic, values, **producer):
    async with aiokafka.AIOKafkaProducer(bootstrap_servers=bootstrap_servers, **producer) as to:
        for value in values:
            await to.send_and_wait(topic, value)


async def read(bootstrap_servers, topic, count):
    consumer = aiokafka.AIOKafkaConsumer(
        topic, bootstrap_servers=bootstrap_servers, auto_offset_reset="earliest", isolation_level="read_committed"
    )
    async with consumer, asyncio.timeout(30):
        return [(await consumer.getone()).value for _ in range(count)]


async def test_it_listens_on_the_loopback_interface_alone(kafka):
    listening = [c for c in psutil.Process(kafka.pid).net_connections("inet") if c.status == psutil.CONN_LISTEN]

    # A Java socket is of IPv6: its loopback address is a mapped one.
    assert {c.laddr.ip.removeprefix("::ffff:") for c in listening} == {"127.0.0.1"}


async def test_a_topic_that_nobody_made_stays_away(kafka):
    consumer = aiokafka.AIOKafkaConsumer(bootstrap_servers=kafka.bootstrap_servers, request_timeout_ms=2_000)
    async with consumer:
        with pytest.raises(UnknownTopicOrPartitionError):
            await consumer._client._wait_on_metadata(f"nobody.{uuid.uuid4()}")


async def test_data_outlives_a_stop_and_a_start(tmp_path):
    with embedded_kafka(tmp_path) as broker:
        await make_topic(broker.bootstrap_servers, "kept")
        await publish(broker.bootstrap_servers, "kept", [b"1", b"2"])
        first = broker.pid
        broker.stop()
        assert not alive(first)
        broker.start()

        assert broker.pid != first
        assert await read(broker.bootstrap_servers, "kept", 2) == [b"1", b"2"]
        formats = (tmp_path / "kafka.log").read_text().count("Formatting metadata directory")
        assert formats == 1
        assert not (tmp_path / "kafka" / "controller.properties").exists()  # an orderly stop needs no recovery


async def test_what_was_acknowledged_outlives_a_kill_9(tmp_path):
    with embedded_kafka(tmp_path) as broker:
        await make_topic(broker.bootstrap_servers, "kept")
        values = [str(number).encode() for number in range(300)]
        await publish(broker.bootstrap_servers, "kept", values[:200], acks="all")
        producer = aiokafka.AIOKafkaProducer(bootstrap_servers=broker.bootstrap_servers, transactional_id="t")
        async with producer, producer.transaction():
            for value in values[200:]:
                await producer.send("kept", value)
        broker.kill(signal.SIGKILL)
        broker.start()

        assert await read(broker.bootstrap_servers, "kept", 300) == values


async def test_a_broker_that_was_paused_goes_on(tmp_path):
    with embedded_kafka(tmp_path) as broker:
        await make_topic(broker.bootstrap_servers, "kept")
        broker.kill(signal.SIGSTOP)
        broker.kill(signal.SIGCONT)
        await publish(broker.bootstrap_servers, "kept", [b"1"])

        assert await read(broker.bootstrap_servers, "kept", 1) == [b"1"]


async def test_a_taken_port_is_refused(tmp_path, spawner):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        broker = EmbeddedKafka(KafkaPlan(tmp_path / "kafka", port=port, log=tmp_path / "kafka.log"), spawner)

        with pytest.raises(SettingsError, match=f"port {port} is taken.*--kafka-port"):
            await broker.start()


async def test_a_broker_that_gives_up_names_its_log(tmp_path, spawner):
    plan = KafkaPlan(tmp_path / "kafka", port=free_port(), log=tmp_path / "kafka.log", overrides={"log.retention.hours": "soon"})

    with pytest.raises(SettingsError, match=f"{tmp_path}/kafka.log"):
        await EmbeddedKafka(plan, spawner).start()
    assert "log.retention.hours" in (tmp_path / "kafka.log").read_text()


def test_two_sessions_side_by_side(kafka, tmp_path):
    with embedded_kafka(tmp_path) as other:
        assert other.bootstrap_servers != kafka.bootstrap_servers
        assert alive(other.pid)
        assert alive(kafka.pid)
    assert not alive(other.pid)
