"""The AsyncAPI 3.0 document of the topics: which records travel where, who writes them and who reads them."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from schemas.catalogue import builtin

AVRO = "application/vnd.apache.avro+json;version=1.9.0"
_PLACEHOLDER = re.compile(r"<(\w+)>")


@dataclass(frozen=True, slots=True)
class Channel:
    """One topic. `<provider>` in its name stands for each provider; `config` is the broker's; `open` where it is an interface."""

    name: str
    record: str
    key: str
    config: Mapping[str, str]
    writers: tuple[str, ...]
    readers: tuple[str, ...]
    open: bool

    @property
    def id(self) -> str:
        """Its name in the document."""
        return _PLACEHOLDER.sub(r"\1", self.name)


def document(channels: Iterable[Channel], *, version: str, description: str = "") -> dict[str, Any]:
    """The document.

    >>> topic = Channel("ai.keys", "KeyIssued", "key_id", {}, ("you",), ("edge",), open=True)
    >>> list(document([topic], version="1")["operations"])
    ['you_send_ai.keys', 'edge_receive_ai.keys']
    """
    every = tuple(channels)
    newest = {schema.name: schema for schema in sorted(builtin().values(), key=lambda each: each.version)}
    used = {each.record: each.key for each in every}
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "Penstock's topics", "version": version, "description": description},
        "defaultContentType": "application/vnd.confluent.avro",
        "channels": {each.id: _channel(each) for each in every},
        "operations": {name: operation for each in every for name, operation in _operations(each)},
        "components": {
            "messages": {name: _message(name, newest[name].id, newest[name].text) for name in sorted(used)},
        },
    }


def _channel(channel: Channel) -> dict[str, Any]:
    parameters = {
        name: {"description": f"A {name} of the catalogue, such as `openai`."} for name in _PLACEHOLDER.findall(channel.name)
    }
    use = "An interface." if channel.open else "Between the stages; it may change with a release."
    told: dict[str, Any] = {
        "address": _PLACEHOLDER.sub(r"{\1}", channel.name),
        "description": f"{use} Key: `{channel.key}`.",
        "messages": {channel.record: {"$ref": f"#/components/messages/{channel.record}"}},
        "bindings": {"kafka": {"topicConfiguration": _configuration(channel.config)}},
        "x-open": channel.open,
        "x-key": channel.key,
    }
    return told | ({"parameters": parameters} if parameters else {})


def _configuration(config: Mapping[str, str]) -> dict[str, Any]:
    """What the Kafka binding has words for: the cleanup policy as a list, sizes and times as numbers."""
    words: dict[str, Any] = {}
    if policy := config.get("cleanup.policy"):
        words["cleanup.policy"] = policy.split(",")
    for name in ("retention.ms", "delete.retention.ms", "max.message.bytes"):
        if name in config:
            words[name] = int(config[name])
    return words


def _operations(channel: Channel) -> Iterable[tuple[str, dict[str, Any]]]:
    for action, roles in (("send", channel.writers), ("receive", channel.readers)):
        for role in roles:
            name = re.sub(r"\W+", "_", role).strip("_")
            yield (
                f"{name}_{action}_{channel.id}",
                {
                    "action": action,
                    "channel": {"$ref": f"#/channels/{channel.id}"},
                    "summary": f"{role} {'writes' if action == 'send' else 'reads'} it.",
                    "x-role": role,
                },
            )


def _message(name: str, schema_id: int, text: str) -> dict[str, Any]:
    schema = json.loads(text)
    return {
        "name": name,
        "summary": str(schema.get("doc", "")),
        "contentType": "application/vnd.confluent.avro",
        "payload": {"schemaFormat": AVRO, "schema": schema},
        "bindings": {"kafka": {"key": {"type": "string"}, "schemaIdLocation": "payload", "schemaIdPayloadEncoding": "confluent"}},
        "x-schema-id": schema_id,
    }
