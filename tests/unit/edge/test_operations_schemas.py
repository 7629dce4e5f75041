"""The catalogue under `/schemas` answers word for word as the one that stands alone."""

import json
from collections.abc import AsyncIterator

import aiohttp
import pytest_asyncio

from schemas.catalogue import builtin
from streams.edge import catalogue
from streams.edge.operations_schemas import SchemaPaths
from streams.edge.subjects import Subjects
from tests.unit.edge.operations_door import client, door

TEXT = builtin()[1].text
OURS = json.dumps({"schema": TEXT, "schemaType": "AVRO"})
OTHER = json.dumps({"schema": '{"type": "record", "name": "X", "fields": []}'})
ASKED = [
    ("GET", "", None),
    ("GET", "/subjects", None),
    ("GET", "/subjects?subjectPrefix=:.:ai.ke", None),
    ("GET", "/subjects/ai.requests-value/versions", None),
    ("GET", "/subjects/ai.requests-value/versions/1", None),
    ("GET", "/subjects/ai.requests-value/versions/latest", None),
    ("GET", "/subjects/ai.requests-value/versions/9", None),
    ("GET", "/subjects/ai.requests-value/versions/x", None),
    ("GET", "/subjects/ai.requests-value/versions/1/schema", None),
    ("GET", "/subjects/ai.requests-value/versions/1/referencedby", None),
    ("GET", "/subjects/ai.calls.whatever-value/versions/1", None),
    ("GET", "/subjects/none/versions", None),
    ("POST", "/subjects/ai.requests-value", OURS),
    ("POST", "/subjects/ai.requests-value", OTHER),
    ("POST", "/subjects/ai.requests-value", "[]"),
    ("POST", "/subjects/ai.requests-value", "no JSON"),
    ("POST", "/subjects/ai.requests-value/versions", OURS),
    ("POST", "/subjects/ai.requests-value/versions", OTHER),
    ("POST", "/subjects/none/versions", OURS),
    ("GET", "/schemas?latestOnly=true", None),
    ("GET", "/schemas/types", None),
    ("GET", "/schemas/ids/1", None),
    ("GET", "/schemas/ids/1?fetchMaxId=true", None),
    ("GET", "/schemas/ids/1/schema", None),
    ("GET", "/schemas/ids/1/versions", None),
    ("GET", "/schemas/ids/1/subjects", None),
    ("GET", "/schemas/ids/999", None),
    ("GET", "/schemas/ids/x", None),
    ("GET", "/config", None),
    ("GET", "/config/ai.requests-value", None),
    ("GET", "/config/ai.requests-value?defaultToGlobal=true", None),
    ("GET", "/mode", None),
    ("GET", "/mode/ai.requests-value", None),
    ("GET", "/contexts", None),
    ("GET", "/nowhere", None),
    ("PUT", "/config", "{}"),
    ("DELETE", "/subjects/ai.requests-value", None),
]


@pytest_asyncio.fixture
async def alone() -> AsyncIterator[aiohttp.ClientSession]:
    running = await catalogue.serve(providers=["openai"])
    async with aiohttp.ClientSession(running.url) as session:
        yield session
    await running.close()


async def test_the_same_answers(alone: aiohttp.ClientSession) -> None:
    edge = client(door(), SchemaPaths(Subjects(["openai"])).routes(), key="")
    for method, path, body in ASKED:
        async with alone.request(method, path or "/", data=body) as wanted:
            found = edge.request(method, f"/schemas{path}", content=body)
            assert (found.status_code, found.json()) == (wanted.status, await wanted.json()), f"{method} {path}"
            assert found.headers["content-type"].partition(";")[0] == wanted.content_type


def test_a_body_that_is_no_schema_of_anybodys_is_not_read() -> None:
    edge = client(door(), SchemaPaths(Subjects(["openai"])).routes(), key="")
    answer = edge.post("/schemas/subjects/ai.requests-value", content=b" " * 100_000)
    assert (answer.status_code, answer.json()["error_code"]) == (413, 413)
