"""The AsyncAPI document as a page."""

import json
from collections.abc import Mapping
from html import escape
from typing import Any

from streams.edge.rendered_html import anchor, code, page, said, table

_INTERFACE, _BETWEEN = "Topics that are an interface", "Topics between the stages"


def topics_page(document: Mapping[str, Any]) -> str:
    """The page: each topic with its writers, readers, configuration, and the fields of its record."""
    channels = document["channels"]
    parts = []
    for title, is_open in ((_INTERFACE, True), (_BETWEEN, False)):
        listed = "".join(_channel(name, each, document) for name, each in channels.items() if each["x-open"] is is_open)
        parts.append(f'<section aria-labelledby="{anchor(title)}"><h2 id="{anchor(title)}">{said(title)}</h2>{listed}</section>')
    links = [(title, f"#{anchor(title)}") for title in (_INTERFACE, _BETWEEN)]
    links += [("As JSON", "/asyncapi.json"), ("HTTP interface", "/docs")]
    return page("Penstock: topics", document["info"]["description"], links, "".join(parts))


def _channel(name: str, channel: Mapping[str, Any], document: Mapping[str, Any]) -> str:
    (record,) = channel["messages"]
    message = document["components"]["messages"][record]
    roles = {
        action: ", ".join(
            operation["x-role"]
            for operation in document["operations"].values()
            if operation["action"] == action and operation["channel"]["$ref"] == f"#/channels/{name}"
        )
        for action in ("send", "receive")
    }
    config = channel["bindings"]["kafka"]["topicConfiguration"]
    rows = [
        ("Record", f"{code(record)}, schema {message['x-schema-id']}"),
        ("Key", code(channel["x-key"])),
        ("Written by", said(roles["send"] or "nobody yet")),
        ("Read by", said(roles["receive"] or "nobody yet")),
        ("Kept", said(_kept(config))),
    ]
    schema = message["payload"]["schema"]
    fields = [(code(each["name"]), _type(each["type"]), said(each.get("doc", ""))) for each in schema["fields"]]
    whole = escape(json.dumps(schema, indent=1, ensure_ascii=False), quote=False)
    return (
        f'<details id="{anchor(name)}"><summary><h3>{said(channel["address"])}</h3> '
        f'<span class="what">{said(message["summary"])}</span></summary><div>'
        f"{table('Topic', ('What', 'Value'), rows)}{table('Fields', ('Name', 'Type', 'What it says'), fields)}"
        f'<details><summary>The whole schema</summary><div><pre tabindex="0">{whole}</pre></div></details></div></details>'
    )


def _kept(config: Mapping[str, Any]) -> str:
    parts = ["the last record of each key"] if "compact" in config["cleanup.policy"] else []
    if "delete" in config["cleanup.policy"]:
        parts.append(f"{config['retention.ms'] / 86_400_000:g} days")
    return ", for ".join(parts)


def _type(avro: Any) -> str:
    """An Avro type in few words."""
    if isinstance(avro, str):
        return said(avro.rpartition(".")[2])
    if isinstance(avro, list):
        return " | ".join(_type(each) for each in avro)
    return _composed(avro)


def _composed(avro: Mapping[str, Any]) -> str:
    match avro["type"]:
        case "record":
            return said(avro["name"])
        case "enum":
            return " | ".join(code(symbol) for symbol in avro["symbols"])
        case "array":
            return f"list of {_type(avro['items'])}"
        case "map":
            return f"map of {_type(avro['values'])}"
        case inner:
            return said(str(avro.get("logicalType", inner)))
