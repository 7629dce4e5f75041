"""The OpenAPI document: sound references, one description a path, errors in the path's shape, records as their Avro says."""

import json
from typing import Any

import pytest

from processors.api.openapi import UNDESCRIBED, Errors, document
from processors.api.openapi_avro import records
from processors.api.openapi_schemas import components
from processors.api.openapi_table import SCHEMAS, TABLE
from schemas.catalogue import builtin

WHOLE = document([(each.method, each.path) for each in TABLE], TABLE, SCHEMAS, version="1")
OPERATIONS = [(method, path, each) for path, methods in WHOLE["paths"].items() for method, each in methods.items()]


def references(value: Any) -> set[str]:
    if isinstance(value, dict):
        own = {value["$ref"]} if "$ref" in value else set()
        return own.union(*(references(each) for each in value.values()))
    return set().union(*(references(each) for each in value)) if isinstance(value, list) else set()


def test_it_is_json_and_refers_to_what_is_there() -> None:
    known = {f"#/components/schemas/{name}" for name in WHOLE["components"]["schemas"]}
    assert references(json.loads(json.dumps(WHOLE))) == known


def test_each_method_of_each_path_is_described_once() -> None:
    assert len({each.name for each in TABLE}) == len(TABLE)
    ids = [each["operationId"] for _, _, each in OPERATIONS]
    assert len(set(ids)) == len(ids) == len(TABLE)


def test_what_is_not_mounted_is_left_out_and_what_is_not_described_is_named() -> None:
    told = document([("GET", "/v1/models"), ("GET", "/v1/new/{a:path}"), ("PUT", "/v1/models")], TABLE, SCHEMAS, version="1")
    assert list(told["paths"]) == ["/v1/models"]
    assert list(told["paths"]["/v1/models"]) == ["get"]
    assert told[UNDESCRIBED] == ["GET /v1/new/{a}", "PUT /v1/models"]
    assert set(told["components"]["schemas"]) == {"Model", "Models", "OpenAiError"}


@pytest.mark.parametrize(("method", "path", "told"), OPERATIONS, ids=[f"{method} {path}" for method, path, _ in OPERATIONS])
def test_an_operation(method: str, path: str, told: dict[str, Any]) -> None:
    variables = {each["name"] for each in told.get("parameters", ()) if each["in"] == "path"}
    assert variables == {part.strip("{}") for part in path.split("/") if part.startswith("{")}
    assert told["summary"].endswith(".")
    assert any(status.startswith("2") for status in told["responses"])
    assert (told["security"] == []) == ("401" not in told["responses"])
    assert ("requestBody" in told) == ("413" in told["responses"])
    assert method in {"post", "put"} or "requestBody" not in told


@pytest.mark.parametrize(
    ("path", "method", "schema"),
    [
        ("/v1/chat/completions", "post", Errors.OPENAI),
        ("/v1/messages", "post", Errors.ANTHROPIC),
        ("/v1/requests", "post", Errors.NATIVE),
        ("/schemas/subjects/{subject}", "post", Errors.REGISTRY),
    ],
)
def test_errors_have_the_shape_of_their_path(path: str, method: str, schema: Errors) -> None:
    content = WHOLE["paths"][path][method]["responses"]["400"]["content"]
    assert content == {schema.media: {"schema": {"$ref": f"#/components/schemas/{schema.value}"}}}


def test_anthropics_clients_are_told_529_where_others_are_told_503() -> None:
    statuses = WHOLE["paths"]["/v1/messages"]["post"]["responses"]
    assert "529" in statuses
    assert "503" not in statuses


def test_a_record_is_as_its_avro_says() -> None:
    found = records("InferenceResponse")
    avro = json.loads(next(s.text for s in builtin().values() if s.name == "InferenceResponse"))
    properties = found["InferenceResponse"]["properties"]
    assert set(properties) == {field["name"] for field in avro["fields"]}
    assert properties["answered_at"]["format"] == "date-time"
    assert properties["cost_nanousd"]["type"] == ["integer", "null"]
    assert properties["usage"]["anyOf"][-1] == {"type": "null"}
    assert found["UsageSource"]["enum"] == ["reported", "estimated"]
    assert "request_id" in found["InferenceResponse"]["required"]


@pytest.mark.parametrize("name", sorted({schema.name for schema in builtin().values()}))
def test_every_record_can_be_told(name: str) -> None:
    assert references(records(name)) <= {f"#/components/schemas/{each}" for each in records(name)}


def test_tenant_and_id_are_not_the_clients_to_say() -> None:
    native = components()["NativeRequest"]["properties"]
    assert not {"tenant", "request_id"} & native.keys()
    assert {"messages", "tools"} <= native.keys()
