"""The AsyncAPI document, from the topics and the topology."""

from functools import cache
from typing import Any

from processors.api.asyncapi import Channel, document
from streams import topics, topology
from streams.edge.openapi import version

_DESCRIPTION = (
    "Every record stands in Confluent's framing: a zero byte, four bytes with the id of its schema, the record in Avro's binary "
    "form. `GET /schemas` is a registry that knows the ids. Read with `isolation.level=read_committed`."
)


@cache
def asyncapi() -> dict[str, Any]:
    """The document of all topics; those of the providers' orders are one, with the provider as its parameter."""
    return document(channels(), version=version(), description=_DESCRIPTION)


def channels() -> list[Channel]:
    """Every topic, in the order of its declaration."""
    return [
        Channel(
            topic.name,
            topic.record.__name__,
            topic.key,
            topic.broker_config(),
            writers=(*_outside(topic.name, topology.PUBLISHED_BY_YOU), *(hop.role for hop in topology.writers(topic.name))),
            readers=(*(hop.role for hop in topology.readers(topic.name)), *_outside(topic.name, topology.READ_BY_YOU)),
            open=topic.name in {*topology.PUBLISHED_BY_YOU, *topology.READ_BY_YOU},
        )
        for topic in topics.all_topics((topology.ANY_PROVIDER,)).values()
    ]


def _outside(name: str, known: tuple[str, ...]) -> tuple[str, ...]:
    return (topology.OUTSIDE,) if name in known else ()
