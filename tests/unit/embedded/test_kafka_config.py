"""The embedded broker is told to be one node, loopback only, with every topic made by hand."""

from pathlib import Path

from streams.embedded.kafka_config import format_properties, server_properties


def properties(**overrides):
    return server_properties(port=9092, controller_port=9093, log_dir=Path("/data/log"), overrides=overrides)


def test_every_listener_is_on_the_loopback_interface():
    listeners = properties()["listeners"].split(",")

    assert [listener.partition("://")[2] for listener in listeners] == ["127.0.0.1:9092", "127.0.0.1:9093"]


def test_topics_are_never_created_by_accident():
    assert properties()["auto.create.topics.enable"] == "false"


def test_internal_topics_can_live_on_one_node():
    told = properties()
    replication = {key: value for key, value in told.items() if key.endswith(("replication.factor", "min.isr"))}

    assert len(replication) == 5
    assert set(replication.values()) == {"1"}


def test_overrides_win():
    assert properties(**{"offsets.topic.num.partitions": "9"})["offsets.topic.num.partitions"] == "9"


def test_values_are_escaped_for_java():
    assert format_properties({"log.dirs": "C:\\data"}) == "log.dirs=C:\\\\data\n"
