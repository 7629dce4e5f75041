"""What the embedded broker is told: one node, on the loopback interface, quick to start, small."""

from collections.abc import Mapping
from pathlib import Path

from streams.embedded.ports import LOOPBACK

LOG4J2 = """\
status = error
appender.out.type = Console
appender.out.name = out
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %d{ISO8601} %-5p %c{1}: %m%n
rootLogger.level = warn
rootLogger.appenderRef.out.ref = out
logger.lifecycle.name = kafka.server.KafkaRaftServer
logger.lifecycle.level = info
logger.markers.name = kafka.coordinator.transaction.TransactionMarkerChannelManager
logger.markers.level = info
"""


# A controller that runs alone, for its broker to be fenced, has to say when that is done.
LOG4J2_CONTROLLER = f"""\
{LOG4J2}\
logger.registration.name = org.apache.kafka.controller.ClusterControlManager
logger.registration.level = info
"""


def server_properties(
    *, port: int, controller_port: int, log_dir: Path, overrides: Mapping[str, str] | None = None
) -> dict[str, str]:
    """The broker's `server.properties`; `overrides` win."""
    return {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@{LOOPBACK}:{controller_port}",
        "controller.listener.names": "CONTROLLER",
        "listeners": f"PLAINTEXT://{LOOPBACK}:{port},CONTROLLER://{LOOPBACK}:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://{LOOPBACK}:{port}",
        "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
        "log.dirs": str(log_dir),
        "auto.create.topics.enable": "false",
        # One node: every internal topic has one replica, and few partitions to create and to load.
        "offsets.topic.replication.factor": "1",
        "offsets.topic.num.partitions": "4",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "transaction.state.log.num.partitions": "4",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
        "share.coordinator.state.topic.num.partitions": "1",
        # A member that joins alone starts at once instead of waiting 3 s for others.
        "group.initial.rebalance.delay.ms": "0",
        # To fence the only broker, because it was paused or starved of CPU, helps nobody. See kafka_recovery for a kill -9.
        "broker.session.timeout.ms": "600000",
        "broker.heartbeat.interval.ms": "500",
        # A transaction left open holds back read_committed readers: look for timed-out ones every second, not every ten.
        "transaction.abort.timed.out.transaction.cleanup.interval.ms": "1000",
        # The cleaner takes this from the heap when it starts; the default, 128 MiB, is a third of ours.
        "log.cleaner.dedupe.buffer.size": str(16 * 1024 * 1024),
    } | dict(overrides or {})


def format_properties(properties: Mapping[str, str]) -> str:
    """`properties` in Java's file format."""
    return "".join(f"{key}={_escape(value)}\n" for key, value in properties.items())


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n")
