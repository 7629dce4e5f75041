"""The paths of files, with the official SDK over a log in memory."""

import asyncio
from datetime import UTC, datetime, timedelta

import openai
import pytest

from processors.api import files_shape
from processors.api.batch_tally import MAX_PART_BYTES
from schemas.files import FilePart
from streams import clock, topics
from streams.edge.files_log import FileIncomplete
from tests.unit.edge.batch_log import Edge, lines_of
from tests.unit.edge.native_log import MemoryLog

LARGE = bytes(range(256)) * 6_000


async def test_a_file_comes_back_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    edge = Edge(MemoryLog())
    client = edge.openai()
    file = await client.files.create(file=("dir/june.jsonl", LARGE), purpose="batch")
    assert (file.filename, file.bytes, file.purpose, file.status) == ("june.jsonl", len(LARGE), "batch", "processed")
    assert file.expires_at == pytest.approx(file.created_at + 30 * 86_400, abs=1)
    parts = [edge.log.serde.of(FilePart).decode(line.value) for line in edge.log.of(topics.FILES)]
    assert [len(part.data) for part in parts] == [MAX_PART_BYTES, MAX_PART_BYTES, len(LARGE) - 2 * MAX_PART_BYTES]
    assert (await client.files.content(file.id)).content == LARGE
    assert await client.files.retrieve(file.id) == file


async def test_a_piece_that_stands_twice_and_those_of_others_are_passed_over() -> None:
    edge = Edge(MemoryLog())
    client = edge.openai()
    file = await client.files.create(file=("a", LARGE), purpose="batch")
    await client.files.create(file=("b", b"another"), purpose="batch")
    pieces = edge.log.of(topics.FILES)
    edge.log.lines[edge.log.lines.index(pieces[1]) : edge.log.lines.index(pieces[1])] = [pieces[0]]
    assert (await client.files.content(file.id)).content == LARGE


async def test_an_empty_file() -> None:
    client = Edge(MemoryLog()).openai()
    file = await client.files.create(file=("empty", b""), purpose="batch")
    assert (file.bytes, (await client.files.content(file.id)).content) == (0, b"")


async def test_pages() -> None:
    client = Edge(MemoryLog()).openai()
    made = [(await client.files.create(file=(f"{n}.jsonl", b"{}"), purpose="batch")).id for n in range(7)]
    ordered = sorted(made)
    assert [file.id async for file in client.files.list(limit=3)] == ordered[::-1]
    assert [file.id async for file in client.files.list(limit=2, order="asc")] == ordered
    assert [file.id async for file in client.files.list(limit=2, order="asc", after=ordered[4])] == ordered[5:]
    assert [file.id async for file in client.files.list(purpose="batch_output")] == []
    page = await client.files.list(limit=7)
    assert (page.has_more, len(page.data)) == (False, 7)
    for wrong in ({"limit": 0}, {"limit": 10_001}, {"order": "up"}):
        with pytest.raises(openai.BadRequestError):
            await client.files.list(**wrong)


async def test_a_deleted_file_is_gone() -> None:
    edge = Edge(MemoryLog())
    client = edge.openai()
    file = await client.files.create(file=("a", b"{}"), purpose="batch")
    assert (await client.files.delete(file.id)).deleted is True
    with pytest.raises(openai.NotFoundError):
        await client.with_options(timeout=1).files.retrieve(file.id)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What another process made a moment ago is not waited for."""
    monkeypatch.setattr("streams.edge.batch_index._YOUNG_WITHIN_S", 0.02)


async def test_another_tenants_file_is_unknown() -> None:
    edge = Edge(MemoryLog())
    file = await edge.openai().files.create(file=("a", b"{}"), purpose="batch")
    other = edge.openai("other")
    assert [each async for each in other.files.list()] == []
    for asked in (other.files.retrieve(file.id), other.files.content(file.id), other.files.delete(file.id)):
        with pytest.raises(openai.NotFoundError) as unknown:
            await asked
        assert unknown.value.code == "unknown_file"
    assert await edge.openai().files.retrieve(file.id)


async def test_what_another_process_has_just_made_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.edge.batch_index._YOUNG_WITHIN_S", 30.0)
    here, log = Edge(MemoryLog()), MemoryLog()
    file = await Edge(log).openai().files.create(file=("a", b"{}"), purpose="batch")
    asked = asyncio.create_task(here.openai().files.retrieve(file.id))
    await asyncio.sleep(0.01)
    assert not asked.done()
    for line in log.of(topics.BATCHES):
        here.log.put(line.topic, line.key.decode(), line.value)
    assert await asked == file


async def test_what_is_over_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    edge = Edge(MemoryLog())
    file = await edge.openai().files.create(file=("a", b"{}"), purpose="batch")
    await edge.openai().batches.create(input_file_id=file.id, endpoint="/v1/embeddings", completion_window="24h")
    edge.index._forget_old()
    assert (len(edge.index._files), len(edge.index._batches)) == (1, 1)
    later = datetime.now(UTC) + timedelta(days=30, seconds=1)
    monkeypatch.setattr(clock, "now", lambda: later)
    assert [each async for each in edge.openai().batches.list()] == []
    edge.index._forget_old()
    assert (len(edge.index._files), len(edge.index._batches)) == (0, 0)


async def test_a_tenant_whose_name_goes_on_in_anothers_key_reads_nothing() -> None:
    edge = Edge(MemoryLog())
    file = await edge.openai("acme/shop").files.create(file=("a", b"{}"), purpose="batch")
    assert (await edge.openai("acme/shop").files.retrieve(file.id)).id == file.id
    with pytest.raises(openai.NotFoundError):
        await edge.openai("acme").batches.create(
            input_file_id=f"shop/{file.id}", endpoint="/v1/embeddings", completion_window="24h"
        )
    with pytest.raises(FileIncomplete):
        [data async for data in edge.files.pieces("acme", f"shop/{file.id}", 1)]


async def test_a_file_expires(monkeypatch: pytest.MonkeyPatch) -> None:
    edge = Edge(MemoryLog())
    client = edge.openai()
    short = {"anchor": "created_at", "seconds": 3_600}
    file = await client.files.create(file=("a", b"{}"), purpose="batch", expires_after=short)  # type: ignore[arg-type]
    assert file.expires_at == pytest.approx(file.created_at + 3_600, abs=1)
    later = datetime.now(UTC) + timedelta(hours=1, seconds=1)
    monkeypatch.setattr(clock, "now", lambda: later)
    with pytest.raises(openai.NotFoundError):
        await client.files.retrieve(file.id)
    assert [each async for each in client.files.list()] == []


@pytest.mark.parametrize(
    ("fields", "parameter"),
    [
        pytest.param({}, "purpose", id="no purpose"),
        pytest.param({"purpose": "fine-tune"}, "purpose", id="a purpose that nothing has here"),
        pytest.param({"purpose": "batch", "expires_after[seconds]": "60"}, "expires_after", id="no anchor"),
        pytest.param(
            {"purpose": "batch", "expires_after[anchor]": "created_at", "expires_after[seconds]": "1"}, "expires_after", id="soon"
        ),
    ],
)
async def test_what_cannot_be_uploaded(fields: dict[str, str], parameter: str) -> None:
    edge = Edge(MemoryLog())
    answer = await edge.http().post("/v1/files", data=fields, files={"file": ("a", b"{}")})
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == parameter
    assert edge.log.of(topics.BATCHES) == []


async def test_a_form_without_a_file_or_with_two() -> None:
    http = Edge(MemoryLog()).http()
    assert (await http.post("/v1/files", data={"purpose": "batch"}, files={"other": ("a", b"")})).status_code == 400
    two = [("file", ("a", b"")), ("file", ("b", b""))]
    assert (await http.post("/v1/files", data={"purpose": "batch"}, files=two)).status_code == 400
    assert (await http.post("/v1/files", json={})).status_code == 400
    many = {f"field {n}": "" for n in range(20)}
    assert (await http.post("/v1/files", data=many, files={"file": ("a", b"")})).status_code == 400


async def test_a_file_that_is_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files_shape, "MAX_FILE_BYTES", 1_000)
    edge = Edge(MemoryLog())
    with pytest.raises(openai.APIStatusError) as large:
        await edge.openai().files.create(file=("a", b"a" * 1_001), purpose="batch")
    assert large.value.status_code == 413
    assert edge.log.of(topics.BATCHES) == []
    assert (await edge.openai().files.create(file=("a", b"a" * 1_000), purpose="batch")).bytes == 1_000


async def test_who_may_not() -> None:
    http = Edge(MemoryLog()).http("")
    for method, path in (("GET", "/v1/files"), ("POST", "/v1/files"), ("GET", "/v1/batches"), ("POST", "/v1/batches")):
        assert (await http.request(method, path)).status_code == 401


async def test_a_file_whose_bytes_the_log_has_lost() -> None:
    edge = Edge(MemoryLog())
    client = edge.openai()
    file = await client.files.create(file=("a", lines_of(3)), purpose="batch")
    edge.log.lines = [line for line in edge.log.lines if line.topic != topics.FILES]
    with pytest.raises(openai.InternalServerError) as lost:
        await client.files.content(file.id)
    assert lost.value.code == "file_incomplete"
