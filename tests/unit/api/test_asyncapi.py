"""The AsyncAPI document: every topic with its record, who writes it and who reads it."""

import json
from typing import Any

import fastavro
import pytest

from schemas.catalogue import builtin
from streams import topics, topology
from streams.edge.asyncapi import asyncapi

TOLD = asyncapi()
TOPICS = topics.all_topics((topology.ANY_PROVIDER,))


def resolved(reference: str) -> Any:
    found: Any = TOLD
    for part in reference.removeprefix("#/").split("/"):
        found = found[part]
    return found


def references(value: Any) -> set[str]:
    if isinstance(value, dict):
        own = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
        return own.union(*(references(each) for each in value.values()))
    return set().union(*(references(each) for each in value)) if isinstance(value, list) else set()


def test_it_is_json_and_refers_to_what_is_there() -> None:
    assert TOLD["asyncapi"] == "3.0.0"
    for reference in references(json.loads(json.dumps(TOLD))):
        assert resolved(reference)


def test_every_topic_is_a_channel() -> None:
    addresses = [each["address"] for each in TOLD["channels"].values()]
    assert addresses == [name.replace("<", "{").replace(">", "}") for name in TOPICS]
    orders = TOLD["channels"]["ai.calls.provider"]
    assert set(orders["parameters"]) == {"provider"}


@pytest.mark.parametrize("name", sorted(TOPICS))
def test_a_topic(name: str) -> None:
    topic, channel = TOPICS[name], TOLD["channels"][name.replace("<", "").replace(">", "")]
    (record,) = channel["messages"]
    assert record == topic.record.__name__
    message = resolved(channel["messages"][record]["$ref"])
    fastavro.parse_schema(message["payload"]["schema"])
    newest = max((s for s in builtin().values() if s.name == record), key=lambda s: s.version)
    assert (message["x-schema-id"], message["payload"]["schema"]) == (newest.id, json.loads(newest.text))
    config = channel["bindings"]["kafka"]["topicConfiguration"]
    assert ("compact" in config["cleanup.policy"]) == topic.compacted
    assert topic.key in channel["description"]


@pytest.mark.parametrize("name", sorted(TOPICS))
def test_who_writes_and_reads_it(name: str) -> None:
    reference = f"#/channels/{name.replace('<', '').replace('>', '')}"
    found = {
        action: {
            each["x-role"]
            for each in TOLD["operations"].values()
            if each["action"] == action and each["channel"]["$ref"] == reference
        }
        for action in ("send", "receive")
    }
    outside = {topology.OUTSIDE}
    assert found["send"] == {hop.role for hop in topology.writers(name)} | (
        outside if name in topology.PUBLISHED_BY_YOU else set()
    )
    assert found["receive"] == {hop.role for hop in topology.readers(name)} | (outside if name in topology.READ_BY_YOU else set())
