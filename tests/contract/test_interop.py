"""Stock Confluent clients and our topics: what one writes, the other reads, with nothing but the catalogue's address."""

import asyncio
import threading
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import orjson
import pytest
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient, NewTopic
from confluent_kafka.schema_registry import SchemaRegistryClient, SchemaRegistryError
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

from schemas.calls import Output, Usage
from schemas.catalogue import builtin
from schemas.ledger import CostEvent, CostKind, PricingStatus
from schemas.outcomes import CacheState, InferenceResponse, ResponseStatus
from schemas.requests import InferenceRequest, Message, Operation
from schemas.serde import Serde
from streams import topics
from streams.edge.catalogue import Running, serve
from tests.fakes.stack import RunningKafka, kafka  # noqa: F401

NOW = datetime(2026, 1, 31, 15, 4, 5, 678_901, tzinfo=UTC)
SERDE = Serde()
RESPONSE = InferenceResponse(
    request_id="r1",
    tenant="acme",
    final=True,
    status=ResponseStatus.OK,
    request_model="auto",
    attempts=1,
    task_kind="chat",
    policy="p",
    received_at=NOW,
    answered_at=NOW,
    operation=Operation.CHAT,
    output=Output(content="Grüße", finish_reason="stop", embeddings=((0.5, -1.0),)),
    usage=Usage(input_tokens=3, output_tokens=4),
    cost_nanousd=54_399_000,
    cache=CacheState.MISS,
    metadata={"k": "v"},
)
COST = CostEvent(
    event_id="e1",
    kind=CostKind.CALL,
    request_id="r1",
    tenant="acme",
    lane="acme",
    provider="openai",
    deployment="d",
    model="m",
    occurred_at=NOW,
    recorded_at=NOW,
    cost_nanousd=54_399_000,
    pricing_status=PricingStatus.PRICED,
    usage=Usage(3, 4),
)


@pytest.fixture(scope="module")
def catalogue() -> Iterator[Running]:
    """A catalogue in a loop of its own: Confluent's client blocks."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    running = asyncio.run_coroutine_threadsafe(serve(providers=["openai"]), loop).result()
    yield running
    asyncio.run_coroutine_threadsafe(running.close(), loop).result()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@pytest.fixture(scope="module")
def registry(catalogue: Running) -> Iterator[SchemaRegistryClient]:
    with SchemaRegistryClient({"url": catalogue.url}) as client:
        yield client


@pytest.fixture(scope="module")
def topic(kafka: RunningKafka) -> str:  # noqa: F811
    name = f"interop-{uuid.uuid4().hex[:8]}"
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
    admin.create_topics([NewTopic(name, 1, 1)])[name].result(20)
    return name


def through_kafka(kafka: RunningKafka, topic: str, value: bytes) -> bytes:  # noqa: F811
    """What a consumer gets of a value that a producer wrote."""
    producer = Producer({"bootstrap.servers": kafka.bootstrap_servers})
    key = uuid.uuid4().bytes
    producer.produce(topic, value, key)
    assert producer.flush(20) == 0
    consumer = Consumer(
        {"bootstrap.servers": kafka.bootstrap_servers, "group.id": uuid.uuid4().hex, "auto.offset.reset": "earliest",
         "isolation.level": "read_committed"}
    )  # fmt: skip
    try:
        consumer.subscribe([topic])
        for _ in range(200):
            message = consumer.poll(0.1)
            if message is not None and message.error() is None and message.key() == key:
                return message.value()
    finally:
        consumer.close()
    raise AssertionError("the record did not come back")


def test_a_stock_deserializer_reads_our_responses(kafka, topic, registry):  # noqa: F811
    value = through_kafka(kafka, topic, SERDE.encode(RESPONSE))
    found = AvroDeserializer(registry)(value, SerializationContext(topics.RESPONSES, MessageField.VALUE))
    assert (found["request_id"], found["status"], found["cost_nanousd"]) == ("r1", "ok", 54_399_000)
    assert found["answered_at"] == NOW
    assert found["output"]["content"] == "Grüße"
    assert found["output"]["embeddings"] == [[0.5, -1.0]]
    assert found["metadata"] == {"k": "v"}


def test_a_stock_deserializer_reads_our_cost_events(kafka, topic, registry):  # noqa: F811
    value = through_kafka(kafka, topic, SERDE.encode(COST))
    found = AvroDeserializer(registry)(value, SerializationContext(topics.COSTS, MessageField.VALUE))
    assert (found["kind"], found["cost_nanousd"], found["occurred_at"]) == ("CALL", 54_399_000, NOW)
    assert found["usage"]["input_tokens"] == 3


@pytest.mark.parametrize(
    "settings",
    [
        {"auto.register.schemas": True},
        {"auto.register.schemas": False},
        {"auto.register.schemas": False, "use.latest.version": True},
    ],
    ids=["registers", "looks up", "takes the latest"],
)
def test_what_a_stock_serializer_writes_we_read(kafka, topic, registry, settings):  # noqa: F811
    request = {"request_id": "r9", "tenant": "acme", "model": "auto", "operation": "chat", "deadline": NOW,
               "messages": [{"role": "user", "content": "hi"}]}  # fmt: skip
    serializer = AvroSerializer(registry, builtin()[1].text, conf=settings)
    value = through_kafka(kafka, topic, serializer(request, SerializationContext(topics.REQUESTS, MessageField.VALUE)))
    assert SERDE.of(InferenceRequest).decode(value) == InferenceRequest(
        "r9", "acme", "auto", messages=(Message("user", "hi"),), deadline=NOW
    )


def test_a_serializer_with_a_schema_of_its_own_is_refused(registry):
    schema = orjson.loads(builtin()[1].text)
    schema["fields"].append({"name": "mine", "type": "string", "default": ""})
    serializer = AvroSerializer(registry, orjson.dumps(schema).decode())
    with pytest.raises(SchemaRegistryError) as refused:
        serializer({"request_id": "r"}, SerializationContext(topics.REQUESTS, MessageField.VALUE))
    assert (refused.value.http_status_code, refused.value.error_code) == (422, 42205)


def test_the_stock_client_finds_its_way(registry):
    assert f"{topics.REQUESTS}-value" in registry.get_subjects()
    assert registry.get_versions(f"{topics.REQUESTS}-value") == [1]
    latest = registry.get_latest_version(f"{topics.calls('openai')}-value")
    assert (latest.schema_id, latest.version) == (SERDE.catalogue.write_id("CallOrdered"), 1)
    assert registry.get_schema(latest.schema_id).schema_type == "AVRO"
    with pytest.raises(SchemaRegistryError) as refused:
        registry.delete_subject(f"{topics.REQUESTS}-value")
    assert refused.value.error_code == 42205


@pytest.mark.parametrize(
    ("method", "path", "status", "expected"),
    [
        ("GET", "/", 200, {}),
        ("GET", "/schemas/types", 200, ["AVRO"]),
        ("GET", "/schemas/ids/1/subjects", 200, ["ai.requests-value"]),
        ("GET", "/schemas/ids/3/versions", 200, [{"subject": "ai.calls.openai-value", "version": 1}]),
        ("GET", "/config", 200, {"compatibilityLevel": "FULL_TRANSITIVE"}),
        ("GET", "/config/ai.requests-value?defaultToGlobal=true", 200, {"compatibilityLevel": "FULL_TRANSITIVE"}),
        ("GET", "/mode", 200, {"mode": "READONLY"}),
        ("GET", "/subjects?subjectPrefix=ai.cost", 200, ["ai.cost-totals-value", "ai.costs-value"]),
        ("GET", "/schemas/ids/99", 404, {"error_code": 40403}),
        ("GET", "/subjects/nope/versions", 404, {"error_code": 40401}),
        ("GET", "/subjects/ai.requests-value/versions/7", 404, {"error_code": 40402}),
        ("GET", "/subjects/ai.requests-value/versions/first", 422, {"error_code": 42202}),
        ("GET", "/config/ai.requests-value", 404, {"error_code": 40408}),
        ("GET", "/nope", 404, {"error_code": 404}),
        ("PUT", "/config", 422, {"error_code": 42205}),
        ("PUT", "/mode", 422, {"error_code": 42205}),
        ("DELETE", "/subjects/ai.requests-value", 422, {"error_code": 42205}),
        ("POST", "/compatibility/subjects/ai.requests-value/versions/latest", 422, {"error_code": 42205}),
        ("POST", "/subjects/ai.requests-value", 422, {"error_code": 42201}),
    ],
)
def test_paths_and_error_codes(catalogue, method, path, status, expected):
    request = urllib.request.Request(catalogue.url + path, method=method, data=b"" if method in {"POST", "PUT"} else None)
    try:
        with urllib.request.urlopen(request, timeout=5) as reply:
            found, code, kind = orjson.loads(reply.read()), reply.status, reply.headers["Content-Type"]
    except urllib.error.HTTPError as error:
        with error:
            found, code, kind = orjson.loads(error.read()), error.code, error.headers["Content-Type"]
    assert code == status
    assert kind == "application/vnd.schemaregistry.v1+json"
    if isinstance(expected, dict) and "error_code" in expected:
        assert found["error_code"] == expected["error_code"]
        assert found["message"]
    else:
        assert found == expected


def test_the_highest_id_is_told_on_request(catalogue):
    with urllib.request.urlopen(f"{catalogue.url}/schemas/ids/1?fetchMaxId=true", timeout=5) as reply:
        assert orjson.loads(reply.read())["maxId"] == max(builtin())


def test_zero_null_and_empty_stay_what_they_are(registry):
    odd = replace(RESPONSE, cost_nanousd=0, user="", output=None)
    found = AvroDeserializer(registry)(SERDE.encode(odd), SerializationContext(topics.RESPONSES, MessageField.VALUE))
    assert (found["cost_nanousd"], found["user"], found["output"], found["provider"]) == (0, "", None, None)
