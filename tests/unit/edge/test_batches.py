"""The paths of batches, with the official SDK over a log in memory."""

from typing import Any

import openai
import pytest

from schemas.batches import BatchChanged
from streams import topics
from streams.placement import partition_of
from tests.unit.edge.batch_log import Edge, Pipeline, lines_of, river, uploaded
from tests.unit.edge.native_log import PARTITIONS, MemoryLog


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What another process made a moment ago is not waited for."""
    monkeypatch.setattr("streams.edge.batch_index._YOUNG_WITHIN_S", 0.02)


async def test_a_batch_is_published_and_shown() -> None:
    edge = Edge(MemoryLog())
    client = edge.openai()
    file = await client.files.create(file=("in.jsonl", lines_of(2)), purpose="batch")
    made: Any = await client.batches.create(
        input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h", metadata={"job": "june"}
    )
    assert (made.status, made.object, made.endpoint, made.completion_window) == (
        "validating",
        "batch",
        "/v1/chat/completions",
        "24h",
    )
    assert made.expires_at == made.created_at + 86_400
    assert (made.metadata, made.errors, made.output_file_id) == ({"job": "june"}, None, None)
    assert (made.request_counts.total, made.input_file_id) == (0, file.id)
    assert await client.batches.retrieve(made.id) == made


async def test_pages() -> None:
    edge = Edge(MemoryLog())
    made = [await uploaded(edge, lines_of(1)) for _ in range(5)]
    assert [each.id async for each in edge.openai().batches.list(limit=2)] == sorted(made)[::-1]
    with pytest.raises(openai.BadRequestError):
        await edge.openai().batches.list(limit=101)


async def test_another_tenants_batch_and_file_are_unknown() -> None:
    edge = Edge(MemoryLog())
    batch_id = await uploaded(edge, lines_of(1))
    file = await edge.openai().files.create(file=("a", lines_of(1)), purpose="batch")
    other = edge.openai("other")
    assert [each async for each in other.batches.list()] == []
    wanted: dict[str, Any] = {"endpoint": "/v1/embeddings", "completion_window": "24h"}
    for asked in (
        other.batches.retrieve(batch_id),
        other.batches.cancel(batch_id),
        other.batches.create(input_file_id=file.id, **wanted),
    ):
        with pytest.raises(openai.NotFoundError):
            await asked
    assert (await edge.openai().batches.retrieve(batch_id)).status == "validating"


@pytest.mark.parametrize(
    ("changes", "parameter"),
    [
        pytest.param({"endpoint": "/v1/moderations"}, "endpoint", id="another endpoint"),
        pytest.param({"completion_window": "1h"}, "completion_window", id="another window"),
        pytest.param({"input_file_id": None}, "input_file_id", id="no file"),
        pytest.param({"metadata": {"a": 1}}, "metadata", id="metadata that is no text"),
        pytest.param({"metadata": {str(n): "" for n in range(17)}}, "metadata", id="too much metadata"),
        pytest.param({"output_expires_after": {"anchor": "created_at", "seconds": 1}}, "output_expires_after", id="soon"),
        pytest.param({"model": "auto"}, "model", id="a field that a batch has not"),
    ],
)
async def test_what_is_no_batch(changes: dict[str, Any], parameter: str) -> None:
    edge = Edge(MemoryLog())
    file = await edge.openai().files.create(file=("a", b""), purpose="batch")
    body = {"input_file_id": file.id, "endpoint": "/v1/embeddings", "completion_window": "24h", **changes}
    answer = await edge.http().post("/v1/batches", json=body)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, parameter)


async def test_a_wish_to_cancel_stands_beside_the_batch_and_is_shown_at_once() -> None:
    edge = Edge(MemoryLog())
    batch_id = await uploaded(edge, lines_of(1))
    wished = await edge.openai().batches.cancel(batch_id)
    assert wished.status == "cancelling"
    assert wished.cancelling_at is not None
    assert (await edge.openai().batches.cancel(batch_id)).cancelling_at == wished.cancelling_at
    codec = edge.log.serde.of(BatchChanged)
    changed = [codec.decode(line.value) for line in edge.log.of(topics.BATCHES)]
    assert len([each for each in changed if each.cancel is not None]) == 1


async def two_lines() -> tuple[Edge, Pipeline, str]:
    """An edge, a pipeline that answers it once it runs, and the id of a batch of two lines that nobody carries out yet."""
    log = MemoryLog()
    pipeline = Pipeline(log, river)
    log.answers = pipeline.take
    edge = Edge(log)
    return edge, pipeline, await uploaded(edge, lines_of(2))


async def test_a_batch_that_is_over_cannot_be_cancelled() -> None:
    edge, pipeline, batch_id = await two_lines()
    async with pipeline.running():
        await edge.run_of(batch_id).run()
    with pytest.raises(openai.ConflictError):
        await edge.openai().batches.cancel(batch_id)


async def test_a_batch_reads_batch_files_alone() -> None:
    edge, pipeline, batch_id = await two_lines()
    async with pipeline.running():
        await edge.run_of(batch_id).run()
    client = edge.openai()
    written = await client.files.retrieve((await client.batches.retrieve(batch_id)).output_file_id or "")
    assert (written.purpose, written.filename) == ("batch_output", f"{batch_id}_output.jsonl")
    with pytest.raises(openai.BadRequestError):
        await client.batches.create(input_file_id=written.id, endpoint="/v1/embeddings", completion_window="24h")


async def test_a_batch_carries_on_after_its_input_was_deleted() -> None:
    edge, pipeline, batch_id = await two_lines()
    client = edge.openai()
    await client.files.delete((await client.batches.retrieve(batch_id)).input_file_id)
    async with pipeline.running():
        await edge.run_of(batch_id).run()
    assert (await client.batches.retrieve(batch_id)).status == "completed"


async def test_all_records_about_a_batch_ask_for_its_partition() -> None:
    edge, sent = Edge(MemoryLog()), []
    send_all = edge.runtime.publisher.send_all

    async def noting(records: Any) -> None:
        sent.extend(records)
        await send_all(records)

    edge.runtime.publisher.send_all = noting  # type: ignore[method-assign]
    batch_id = await uploaded(edge, lines_of(1))
    await edge.openai().batches.cancel(batch_id)
    about = [each for each in sent if each.topic == topics.BATCHES and batch_id in each.key]
    assert [each.key for each in about] == [f"acme/{batch_id}", f"acme/{batch_id}/cancel"]
    assert {each.partition for each in about} == {partition_of(f"acme/{batch_id}", PARTITIONS)}
