"""A batch carried out over a log in memory: every line once, whatever dies, and what a line may come to."""

import asyncio
import json
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from openai.types import CreateEmbeddingResponse
from openai.types.chat import ChatCompletion
from openai.types.responses import Response

from schemas.batches import BatchChanged, BatchStatus
from schemas.calls import Output, Usage
from schemas.cancellation import CancelRequested
from schemas.outcomes import ErrorInfo, InferenceResponse, ResponseStatus
from schemas.requests import InferenceRequest
from streams import topics
from streams.edge import batch_run, batch_writing
from tests.unit.edge.batch_log import (
    Answer,
    Crash,
    Edge,
    Pipeline,
    Plan,
    expired,
    lines_of,
    read,
    river,
    state_in,
    until,
    uploaded,
)
from tests.unit.edge.native_log import MemoryLog, final


async def carried_out(content: bytes, answer: Answer = river, endpoint: str = "/v1/chat/completions") -> tuple[Edge, Any]:
    log = MemoryLog()
    pipeline = Pipeline(log, answer)
    log.answers = pipeline.take
    edge = Edge(log)
    batch_id = await uploaded(edge, content, endpoint)
    async with pipeline.running():
        await edge.run_of(batch_id).run()
    return edge, await edge.openai().batches.retrieve(batch_id)


async def test_every_line_is_answered_in_the_shape_of_its_path() -> None:
    edge, batch = await carried_out(lines_of(40))
    assert (batch.status, batch.error_file_id) == ("completed", None)
    assert (batch.request_counts.total, batch.request_counts.completed, batch.request_counts.failed) == (40, 40, 0)
    assert batch.usage.total_tokens == 40 * 7
    assert batch.created_at <= batch.in_progress_at <= batch.finalizing_at <= batch.completed_at < batch.expires_at
    lines = await read(edge, batch.output_file_id)
    assert Counter(line["custom_id"] for line in lines) == Counter(f"line {n}" for n in range(1, 41))
    for line in lines:
        assert line["response"]["status_code"] == 200
        assert line["error"] is None
        answer = ChatCompletion.model_validate(line["response"]["body"], strict=True)
        assert answer.choices[0].message.content == "The Rhine."
    assert len({line["id"] for line in lines}) == 40


async def test_what_is_written_and_how_far_the_batch_has_come_are_one_transaction() -> None:
    with patch.object(batch_writing, "_WRITE_AT_BYTES", 1_500):
        edge, _ = await carried_out(lines_of(40))
    assert len(edge.ledger.transactions) > 5
    assert all(transaction[-1] == topics.BATCHES for transaction in edge.ledger.transactions)
    assert sum(transaction.count(topics.FILES) for transaction in edge.ledger.transactions) > 5


async def test_responses_and_embeddings() -> None:
    edge, batch = await carried_out(lines_of(2, "/v1/responses", input="Name a river."), endpoint="/v1/responses")
    for line in await read(edge, batch.output_file_id):
        assert Response.model_validate(line["response"]["body"]).output_text == "The Rhine."

    def vectors(request: InferenceRequest) -> InferenceResponse:
        return final(request, output=Output(embeddings=((0.5, -0.25),)))

    content = lines_of(1, "/v1/embeddings", input="a river", encoding_format="base64")
    edge, batch = await carried_out(content, vectors, "/v1/embeddings")
    (line,) = await read(edge, batch.output_file_id)
    assert isinstance(line["response"]["body"]["data"][0]["embedding"], str)
    edge, batch = await carried_out(lines_of(1, "/v1/embeddings", input="a river"), vectors, "/v1/embeddings")
    (line,) = await read(edge, batch.output_file_id)
    assert CreateEmbeddingResponse.model_validate(line["response"]["body"]).data[0].embedding == [0.5, -0.25]


async def test_what_is_wrong_with_a_line_is_its_own_error() -> None:
    good = json.loads(lines_of(1))
    wrong: list[tuple[Any, str]] = [
        ("{", "invalid_json_line"),
        ([], "invalid_json_line"),
        ({**good, "custom_id": None}, "missing_required_parameter"),
        ({**good, "custom_id": "line 1"}, "duplicate_custom_id"),
        ({**good, "custom_id": "method", "method": "GET"}, "invalid_method"),
        ({**good, "custom_id": "url", "url": "/v1/embeddings"}, "mismatched_url"),
        ({**good, "custom_id": "body", "body": None}, "missing_required_parameter"),
        ({**good, "custom_id": "model", "body": {"messages": []}}, "invalid_request"),
        ({**good, "custom_id": "stream", "body": {**good["body"], "stream": True}}, "invalid_request"),
        ({**good, "custom_id": "hot", "body": {**good["body"], "temperature": 9}}, "invalid_request"),
    ]
    texts = [line if isinstance(line, str) else json.dumps(line) for line, _ in wrong]
    content = "\ufeff" + "\r\n\n".join([json.dumps(good), *texts, json.dumps({**good, "custom_id": "last"})])
    edge, batch = await carried_out(content.encode())
    assert batch.status == "completed"
    counts = batch.request_counts
    assert (counts.total, counts.completed, counts.failed) == (len(wrong) + 2, 2, len(wrong))
    errors = await read(edge, batch.error_file_id)
    assert sorted(line["error"]["code"] for line in errors) == sorted(code for _, code in wrong)
    assert all(line["response"] is None for line in errors)
    assert {line["custom_id"] for line in errors} == {None, "line 1", "method", "url", "body", "model", "stream", "hot"}
    assert "line 3: " in next(line["error"]["message"] for line in errors if line["error"]["code"] == "invalid_json_line")
    assert {line["custom_id"] for line in await read(edge, batch.output_file_id)} == {"line 1", "last"}


async def test_a_line_whose_call_fails_has_the_error_and_its_status() -> None:
    def answer(request: InferenceRequest) -> InferenceResponse:
        if request.request_id.endswith("-2"):
            error = ErrorInfo("limited", "try later", retryable=True)
            return final(request, status=ResponseStatus.ERROR, error=error, output=None, usage=None)
        return final(request, usage=Usage(10, 5, cache_read_input_tokens=4, reasoning_tokens=2))

    edge, batch = await carried_out(lines_of(3), answer)
    (failed,) = await read(edge, batch.error_file_id)
    assert (failed["custom_id"], failed["error"]) == ("line 2", None)
    assert failed["response"]["status_code"] == 429
    assert failed["response"]["body"]["error"]["message"] == "try later"
    assert (batch.request_counts.completed, batch.request_counts.failed) == (2, 1)
    assert batch.usage.input_tokens_details.cached_tokens == 8
    assert batch.usage.output_tokens_details.reasoning_tokens == 4


@pytest.mark.parametrize(
    ("content", "code"),
    [
        pytest.param(b"", "empty_file", id="nothing"),
        pytest.param(b"\n  \n", "empty_file", id="blank lines"),
        pytest.param(b"no json\n[]\n", "invalid_json_line", id="nothing but bad lines"),
        pytest.param(lines_of(3, "/v1/embeddings", input="a"), "mismatched_url", id="another endpoint's"),
    ],
)
async def test_a_file_with_no_line_that_can_be_asked_fails(content: bytes, code: str) -> None:
    edge, batch = await carried_out(content)
    assert batch.status == "failed"
    assert {error.code for error in batch.errors.data} == {code}
    assert (batch.output_file_id, batch.error_file_id) == (None, None)
    assert batch.failed_at is not None
    assert edge.log.of(topics.REQUESTS) == []


async def test_too_many_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_run, "MAX_LINES", 5)
    assert (await carried_out(lines_of(5)))[1].status == "completed"
    _, batch = await carried_out(lines_of(6))
    assert [error.code for error in batch.errors.data] == ["too_many_requests"]


async def test_a_request_too_large_for_a_record_is_its_lines_error() -> None:
    large = lines_of(1, messages=[{"role": "user", "content": "a" * 1_100_000}])
    edge, batch = await carried_out(large.replace(b"line 1", b"large") + lines_of(1))
    (error,) = await read(edge, batch.error_file_id)
    assert (error["custom_id"], error["error"]["code"]) == ("large", "request_too_large")
    assert batch.status == "completed"


async def test_no_more_are_under_way_than_allowed() -> None:
    log, most = MemoryLog(), 0
    pipeline = Pipeline(log, river, seed=3)

    def take(request: InferenceRequest) -> Any:
        nonlocal most
        pipeline.take(request)
        most = max(most, len(pipeline.pending))
        return ()

    log.answers = take
    edge = Edge(log, batch_in_flight=4)
    batch_id = await uploaded(edge, lines_of(50))
    async with pipeline.running():
        await edge.run_of(batch_id).run()
    assert 1 < most <= 4


async def test_a_cancelled_batch_asks_no_more_cancels_what_is_under_way_and_keeps_what_was_answered() -> None:
    log = MemoryLog()
    pipeline = Pipeline(log, lambda request: river(request) if request.request_id.endswith(("-1", "-2", "-4")) else None)
    log.answers = pipeline.take
    edge = Edge(log, batch_in_flight=4)
    batch_id = await uploaded(edge, lines_of(50))
    run = edge.run_of(batch_id)
    task = asyncio.create_task(run.run())
    async with pipeline.running():
        await until(lambda: len(log.of(topics.RESPONSES)) == 3 and len(pipeline.pending) == 4)
        wished_at = datetime.now(UTC)
        run.cancel(wished_at)
        await task
    batch: Any = await edge.openai().batches.retrieve(batch_id)
    assert (batch.status, len(pipeline.seen)) == ("cancelled", 7)
    assert (batch.request_counts.total, batch.request_counts.completed, batch.request_counts.failed) == (50, 3, 47)
    assert batch.cancelled_at >= batch.cancelling_at
    assert {line["custom_id"] for line in await read(edge, batch.output_file_id)} == {"line 1", "line 2", "line 4"}
    errors = await read(edge, batch.error_file_id)
    assert {line["error"]["code"] for line in errors} == {"batch_cancelled"}
    assert {line["custom_id"] for line in errors} == {f"line {n}" for n in range(1, 51)} - {"line 1", "line 2", "line 4"}
    codec = log.serde.of(CancelRequested)
    told = [codec.decode(line.value) for line in log.of(topics.CANCELLATIONS)]
    assert told == [CancelRequested(f"{batch_id}-{n}", "acme", wished_at) for n in (3, 5, 6, 7)]
    (transaction,) = (each for each in edge.ledger.transactions if topics.CANCELLATIONS in each)
    assert transaction[-1] == topics.BATCHES, "with how far the batch has come"


async def test_a_line_that_was_cancelled_by_name_has_that_error() -> None:
    def answer(request: InferenceRequest) -> InferenceResponse:
        error = ErrorInfo("cancelled", "its sender has cancelled it")
        return final(request, status=ResponseStatus.ERROR, error=error, output=None, usage=None)

    edge, batch = await carried_out(lines_of(1), answer)
    (line,) = await read(edge, batch.error_file_id)
    assert (batch.status, line["response"]["status_code"], line["error"]) == ("completed", 499, None)


async def test_a_batch_cancelled_before_it_begins() -> None:
    edge = Edge(MemoryLog())
    batch_id = await uploaded(edge, lines_of(5))
    run = edge.run_of(batch_id)
    run.cancel(datetime.now(UTC))
    await run.run()
    batch = await edge.openai().batches.retrieve(batch_id)
    assert (batch.status, batch.output_file_id, edge.log.of(topics.REQUESTS)) == ("cancelled", None, [])


async def test_what_is_not_answered_in_the_window_expires(monkeypatch: pytest.MonkeyPatch) -> None:
    log = MemoryLog()
    pipeline = Pipeline(log, lambda request: river(request) if request.request_id.endswith(("-1", "-2")) else None)
    log.answers = pipeline.take
    edge = Edge(log, batch_in_flight=4)
    batch_id = await uploaded(edge, lines_of(8))
    async with pipeline.running():
        task = asyncio.create_task(edge.run_of(batch_id).run())
        await until(lambda: len(pipeline.seen) == 6)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    expired(log, batch_id)
    await edge.run_of(batch_id).run()
    batch = await edge.openai().batches.retrieve(batch_id)
    errors = await read(edge, batch.error_file_id)
    assert batch.status == "expired"
    assert batch.expired_at is not None
    assert {line["custom_id"] for line in await read(edge, batch.output_file_id)} == {"line 1", "line 2"}
    assert Counter(line["custom_id"] for line in errors) == Counter(f"line {n}" for n in range(3, 9))
    assert {line["error"]["code"] for line in errors} == {"batch_expired"}
    assert len(pipeline.seen) == 6


async def test_the_pipelines_word_that_a_line_expired_is_taken() -> None:
    late = ErrorInfo("expired", "no answer came", retryable=True)
    edge, batch = await carried_out(lines_of(2), lambda r: final(r, status=ResponseStatus.EXPIRED, error=late, output=None))
    assert {line["error"]["code"] for line in await read(edge, batch.error_file_id)} == {"batch_expired"}
    assert batch.status == "expired"


async def test_another_tenants_answer_of_the_same_id_is_nobodys() -> None:
    log = MemoryLog()
    pipeline = Pipeline(log, river)

    def take(request: InferenceRequest) -> Any:
        log.tell(replace(final(request, "A lie."), tenant="other"))
        log.tell(final(request, "A notice.", final=False))
        return pipeline.take(request)

    log.answers = take
    edge = Edge(log)
    batch_id = await uploaded(edge, lines_of(3))
    async with pipeline.running():
        await edge.run_of(batch_id).run()
    batch = await edge.openai().batches.retrieve(batch_id)
    lines = await read(edge, batch.output_file_id)
    assert {line["response"]["body"]["choices"][0]["message"]["content"] for line in lines} == {"The Rhine."}


async def test_a_defect_ends_the_batch_and_keeps_what_was_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    edge = Edge(MemoryLog())
    batch_id = await uploaded(edge, lines_of(3))
    run = edge.run_of(batch_id)
    await run.give_up()
    state = state_in(edge.log, batch_id)
    assert (state.status, state.problems[0].code) == (BatchStatus.FAILED, "internal_error")


@settings(max_examples=25)
@example(count=14, crashes=[(15, True), (1, True)], window=3, seed=6, write_at_bytes=1)
@given(
    count=st.integers(1, 30),
    crashes=st.lists(st.tuples(st.integers(0, 40), st.booleans()), max_size=4),
    window=st.integers(1, 8),
    seed=st.integers(0, 9),
    write_at_bytes=st.sampled_from([1, 1_500, 1_000_000]),
)
async def test_every_line_once_wherever_processes_die(
    count: int, crashes: list[tuple[int, bool]], window: int, seed: int, write_at_bytes: int
) -> None:
    """A step is a request or a transaction; one that a process dies in stands in the log, or does not."""
    with patch.object(batch_writing, "_WRITE_AT_BYTES", write_at_bytes):
        async with asyncio.timeout(30):
            await carried_out_with_crashes(count, crashes, window, seed)


async def carried_out_with_crashes(count: int, crashes: list[tuple[int, bool]], window: int, seed: int) -> None:
    log = MemoryLog()
    pipeline = Pipeline(log, _mixed, seed)
    log.answers = pipeline.take
    batch_id = await uploaded(Edge(log), lines_of(count) + b"bad\n")
    async with pipeline.running():
        for steps, after in crashes:
            if state_in(log, batch_id).status.ended:
                break
            edge = Edge(log, Plan(steps, after=after), batch_in_flight=window)
            try:
                await edge.run_of(batch_id).run()
            except Crash:
                pass
        if not state_in(log, batch_id).status.ended:
            await Edge(log, batch_in_flight=window).run_of(batch_id).run()
    edge = Edge(log)
    batch: Any = await edge.openai().batches.retrieve(batch_id)
    output, errors = await read(edge, batch.output_file_id), await read(edge, batch.error_file_id)
    assert batch.status == "completed"
    ids = Counter(line["custom_id"] for line in (*output, *errors))
    assert ids == Counter([*(f"line {n}" for n in range(1, count + 1)), None])
    assert (batch.request_counts.completed, batch.request_counts.failed) == (len(output), len(errors))
    assert len(pipeline.seen) == count
    assert len([line for line in log.of(topics.BATCHES) if _ended(log, line)]) == 1


@settings(max_examples=50)
@given(
    count=st.integers(1, 30),
    crashes=st.lists(st.tuples(st.integers(0, 20), st.booleans()), max_size=4),
    window=st.integers(1, 8),
    wished_after=st.integers(1, 8),
    seed=st.integers(0, 9),
)
async def test_the_files_of_a_cancelled_batch_say_what_the_log_says_wherever_processes_die(
    count: int, crashes: list[tuple[int, bool]], window: int, wished_after: int, seed: int
) -> None:
    """Every third line hangs until it is cancelled. The batch is cancelled when so many lines have been asked."""
    log = MemoryLog()
    pipeline = Pipeline(
        log, lambda request: None if int(request.request_id.rpartition("-")[2]) % 3 == 0 else river(request), seed
    )
    runs: list[Any] = []
    wished_at = datetime.now(UTC)

    def is_wished() -> bool:
        return len(pipeline.seen) >= min(wished_after, window, count)

    def take(request: InferenceRequest) -> Any:
        pipeline.take(request)
        if is_wished():
            runs[-1].cancel(wished_at)
        return ()

    log.answers = take
    batch_id = await uploaded(Edge(log), lines_of(count) + b"bad\n")
    async with pipeline.running(), asyncio.timeout(30):
        for steps, after in (*crashes, (1_000, False)):
            runs.append(Edge(log, Plan(steps, after=after), batch_in_flight=window).run_of(batch_id))
            if is_wished():
                runs[-1].cancel(wished_at)
            try:
                await runs[-1].run()
            except Crash:
                pass
            if state_in(log, batch_id).status.ended:
                break
    edge = Edge(log)
    batch: Any = await edge.openai().batches.retrieve(batch_id)
    output, errors = await read(edge, batch.output_file_id), await read(edge, batch.error_file_id)
    assert batch.status == "cancelled"
    ids = Counter(line["custom_id"] for line in (*output, *errors))
    assert ids == Counter([*(f"line {n}" for n in range(1, count + 1)), None])
    assert (
        (batch.request_counts.completed, batch.request_counts.failed)
        == (len(output), len(errors))
        == (len(output), count + 1 - len(output))
    )
    finals = [log.serde.of(InferenceResponse).decode(line.value) for line in log.of(topics.RESPONSES)]
    assert pipeline.pending == [], "what was asked has ended"
    assert {line["response"]["request_id"] for line in output} == {each.request_id for each in finals if each.error is None}
    assert {line["error"]["code"] for line in errors if line["custom_id"]} <= {"batch_cancelled"}


def _mixed(request: InferenceRequest) -> InferenceResponse:
    if request.request_id.endswith("3"):
        return final(request, status=ResponseStatus.ERROR, error=ErrorInfo("bad", "no"), output=None)
    return river(request)


def _ended(log: MemoryLog, line: Any) -> bool:
    changed = log.serde.of(BatchChanged).decode(line.value)
    return changed.batch is not None and changed.batch.status.ended
