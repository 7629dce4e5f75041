"""Files and batches with the official `openai` SDK against the running stack, its own strict types switched on."""

import json
import os
import signal
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import openai
import psutil
import pytest
from openai.types import Batch
from openai.types.chat import ChatCompletion

from tests.integration.edge.conftest import Edge

pytestmark = [pytest.mark.stack, pytest.mark.timeout(240)]

CHAT: Any = "/v1/chat/completions"
SLOW = "[[sim in=20 out=10 fault=slow_body:700]]"
"""A call that takes about a second."""
ENDLESS = "[[sim in=20 out=4000 fault=slow_body:1]]"
"""A call that ends by itself only at its timeout, and then otherwise."""


@pytest.fixture(scope="module")
def client(edge: Edge) -> Iterator[openai.OpenAI]:
    with client_of(edge, "batching") as made:
        yield made


def client_of(edge: Edge, tenant: str) -> openai.OpenAI:
    options: dict[str, Any] = {"max_retries": 0, "timeout": 60.0, "_strict_response_validation": True}
    return openai.OpenAI(base_url=f"{edge.url}/v1", api_key=edge.key(tenant), **options)


def line(custom_id: str, url: str = CHAT, **body: Any) -> dict[str, Any]:
    asked = body or {"messages": [{"role": "user", "content": f"Name a river. {uuid.uuid4()}"}]}
    return {"custom_id": custom_id, "method": "POST", "url": url, "body": {"model": "auto", **asked}}


def marked(custom_id: str, marker: str) -> dict[str, Any]:
    return line(custom_id, messages=[{"role": "user", "content": f"{marker} {uuid.uuid4()}"}])


def begun(client: openai.OpenAI, lines: list[Any], endpoint: Any = CHAT, **more: Any) -> Batch:
    content = b"".join(json.dumps(each).encode() + b"\n" if isinstance(each, dict) else each for each in lines)
    file = client.files.create(file=("in.jsonl", content), purpose="batch")
    return client.batches.create(input_file_id=file.id, endpoint=endpoint, completion_window="24h", **more)


def ended(client: openai.OpenAI, batch: Batch, within_s: float = 120.0) -> Batch:
    give_up = time.monotonic() + within_s
    while batch.status not in {"completed", "failed", "expired", "cancelled"}:
        assert time.monotonic() < give_up, batch
        time.sleep(0.1)
        batch = client.batches.retrieve(batch.id)
    return batch


def answered_of(client: openai.OpenAI, batch: Batch, *, more_than: int) -> int:
    """How many lines are answered, once they are more than that."""
    give_up = time.monotonic() + 120
    while (counts := client.batches.retrieve(batch.id).request_counts) is None or counts.completed <= more_than:
        assert time.monotonic() < give_up, counts
        time.sleep(0.05)
    return counts.completed


def read(client: openai.OpenAI, file_id: str | None) -> list[Any]:
    return [] if file_id is None else [json.loads(text) for text in client.files.content(file_id).text.splitlines()]


def test_a_batch_from_its_upload_to_its_files(client: openai.OpenAI) -> None:
    good = [line(f"line {n}") for n in range(30)]
    failing = marked("failing", "[[sim in=5 out=5 fault=http_400]]")
    batch = begun(client, [*good, b"no json\n", failing, line("line 0")], metadata={"job": "june"})
    assert (batch.status, batch.metadata) == ("validating", {"job": "june"})
    embeddings = begun(
        client, [line("vector", "/v1/embeddings", model="text-embedding-3-small", input="a river")], "/v1/embeddings"
    )
    responses = begun(client, [line("said", "/v1/responses", input=f"Name a river. {uuid.uuid4()}")], "/v1/responses")
    bad = begun(client, [b"no json\n", b"[]\n"])

    batch = ended(client, batch)
    assert batch.status == "completed"
    assert batch.request_counts is not None
    assert (batch.request_counts.total, batch.request_counts.completed, batch.request_counts.failed) == (33, 30, 3)
    answers, errors = read(client, batch.output_file_id), read(client, batch.error_file_id)
    assert Counter(each["custom_id"] for each in answers) == Counter(f"line {n}" for n in range(30))
    for each in answers:
        assert ChatCompletion.model_validate(each["response"]["body"], strict=True).choices[0].message.content
    assert {each["error"]["code"] for each in errors if each["error"]} == {"invalid_json_line", "duplicate_custom_id"}
    (failed,) = (each for each in errors if each["error"] is None)
    assert (failed["custom_id"], failed["response"]["status_code"]) == ("failing", 400)
    assert batch.usage is not None
    assert batch.usage.total_tokens == sum(each["response"]["body"]["usage"]["total_tokens"] for each in answers)
    written = client.files.retrieve(batch.output_file_id or "")
    assert (written.purpose, written.bytes) == ("batch_output", len(client.files.content(written.id).content))

    (vector,) = read(client, ended(client, embeddings).output_file_id)
    assert vector["response"]["body"]["data"][0]["embedding"]
    (said,) = read(client, ended(client, responses).output_file_id)
    assert said["response"]["body"]["object"] == "response"
    bad = ended(client, bad)
    assert bad.status == "failed"
    assert bad.errors is not None
    assert [(error.code, error.line) for error in bad.errors.data or ()] == [("invalid_json_line", 1), ("invalid_json_line", 2)]


def test_a_cancelled_batch_cancels_what_is_under_way_and_keeps_what_was_answered(edge: Edge) -> None:
    with client_of(edge, "cancelled") as client:
        batch = begun(client, [*(line(f"quick {n}") for n in range(8)), *(marked(f"slow {n}", ENDLESS) for n in range(40))])
        assert answered_of(client, batch, more_than=7) == 8
        until(lambda: len({call["request_id"] for call in calls_of(edge, batch)}) > 8)
        wished = client.batches.cancel(batch.id)
        assert wished.status in {"cancelling", "cancelled"}
        batch = ended(client, wished)
        answers, errors = read(client, batch.output_file_id), read(client, batch.error_file_id)
        assert client.batches.cancel(batch.id).status == "cancelled"
    assert batch.status == "cancelled"
    assert batch.request_counts is not None
    assert (batch.request_counts.total, batch.request_counts.completed, batch.request_counts.failed) == (48, 8, 40)
    assert {each["custom_id"] for each in answers} == {f"quick {n}" for n in range(8)}
    assert Counter(each["custom_id"] for each in errors) == Counter(f"slow {n}" for n in range(40))
    assert {each["error"]["code"] for each in errors} == {"batch_cancelled"}
    finals = {each["request_id"]: each for each in records(edge, "responses", "cancelled") if each["final"]}
    assert finals.keys() == {each["request_id"] for each in records(edge, "requests", "cancelled")}
    good = {name for name, final in finals.items() if final["error"] is None}
    assert good == {each["response"]["request_id"] for each in answers}
    assert {finals[name]["error"]["kind"] for name in finals.keys() - good} == {"cancelled"}, "none has ended by itself"
    assert edge.penstock("verify", "--wait", "60", "--json", timeout_s=120).json["problems"] == []


def test_lists_page_by_themselves(edge: Edge) -> None:
    with client_of(edge, "lister") as client:
        made = [begun(client, [line("a")]) for _ in range(5)]
        files = sorted(batch.input_file_id for batch in made)
        assert [each.id for each in client.files.list(limit=2, purpose="batch", order="asc")] == files
        assert [each.id for each in client.files.list(limit=2, purpose="batch")] == files[::-1]
        assert [each.id for each in client.batches.list(limit=2)] == sorted((batch.id for batch in made), reverse=True)
        assert client.files.delete(files[0]).deleted
        with pytest.raises(openai.NotFoundError):
            client.files.retrieve(files[0])


def test_another_tenant_sees_nothing(edge: Edge, client: openai.OpenAI) -> None:
    batch = ended(client, begun(client, [line("mine")]))
    with client_of(edge, "stranger") as stranger:
        for asked in (
            lambda: stranger.batches.retrieve(batch.id),
            lambda: stranger.batches.cancel(batch.id),
            lambda: stranger.files.content(batch.output_file_id or ""),
            lambda: stranger.files.delete(batch.input_file_id),
            lambda: stranger.batches.create(input_file_id=batch.input_file_id, endpoint=CHAT, completion_window="24h"),
        ):
            with pytest.raises(openai.NotFoundError):
                asked()
        assert list(stranger.batches.list()) == []
        assert list(stranger.files.list()) == []


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_every_line_once_though_the_edge_is_killed_again_and_again(edge: Edge) -> None:
    lines = [marked(f"line {n}", SLOW) for n in range(300)] + [marked("failing", "[[sim in=5 out=5 fault=http_400]]")]
    with client_of(edge, "killed") as client:
        batch = begun(client, lines)
    answered = 0
    for number, whom in ((signal.SIGKILL, slice(None)), (signal.SIGTERM, slice(1)), (signal.SIGKILL, slice(1))):
        answered = patiently(edge, "killed", lambda client, so_far=answered: answered_of(client, batch, more_than=so_far))
        alive = [pid for pid in edge.pids() if psutil.pid_exists(pid)]
        assert alive
        for pid in alive[whom]:
            os.kill(pid, number)
    assert answered < 300
    batch = patiently(edge, "killed", lambda client: ended(client, batch))
    with client_of(edge, "killed") as client:
        answers, errors = read(client, batch.output_file_id), read(client, batch.error_file_id)
        assert len(list(client.batches.list())) == 1
    assert batch.status == "completed"
    assert Counter(each["custom_id"] for each in answers) == Counter(f"line {n}" for n in range(300))
    assert [each["custom_id"] for each in errors] == ["failing"]
    found = edge.penstock("verify", "--wait", "30", "--json", timeout_s=120)
    assert found.json["problems"] == []
    assert found.code == 0
    assert len({each["request_id"] for each in records(edge, "requests", "killed")}) == 301
    calls = Counter(each["request_id"] for each in records(edge, "costs", "killed") if each["kind"] == "CALL")
    assert calls == Counter(each["response"]["request_id"] for each in (*answers, *errors))


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_every_line_once_though_the_broker_is_killed_again_and_again(edge: Edge) -> None:
    with client_of(edge, "outage") as client:
        batch = begun(client, [marked(f"line {n}", SLOW) for n in range(200)])
    for more_than in (20, 90):
        answered = patiently(edge, "outage", lambda client, least=more_than: answered_of(client, batch, more_than=least))
        assert answered < 200, "lines are under way"
        broker = edge.part("kafka")
        os.kill(broker["pid"], signal.SIGKILL)
        until(lambda before=broker["restarts"]: edge.part("kafka")["restarts"] > before)
    batch = patiently(edge, "outage", lambda client: ended(client, batch))
    with client_of(edge, "outage") as client:
        answers, errors = read(client, batch.output_file_id), read(client, batch.error_file_id)
    assert batch.status == "completed"
    assert Counter(each["custom_id"] for each in answers) == Counter(f"line {n}" for n in range(200))
    assert errors == []
    found = edge.penstock("verify", "--wait", "60", "--json", timeout_s=180)
    assert (found.code, found.json["problems"]) == (0, [])
    finals = Counter(each["request_id"] for each in records(edge, "responses", "outage") if each["final"])
    assert finals == Counter(each["response"]["request_id"] for each in answers)
    assert finals.keys() == {each["request_id"] for each in records(edge, "requests", "outage")}


def records(edge: Edge, what: str, tenant: str) -> list[Any]:
    return [each["record"] for each in edge.penstock("consume", what, "--tenant", tenant, "--json", timeout_s=120).lines]


def calls_of(edge: Edge, batch: Batch) -> list[Any]:
    """What the provider has seen of a batch."""
    log = edge.data_dir / "simulator" / "calls.jsonl"
    calls = [json.loads(text) for text in log.read_bytes().splitlines(keepends=True) if text.endswith(b"\n")]
    return [call for call in calls if str(call["request_id"]).startswith(f"{batch.id}-")]


def until(check: Callable[[], bool]) -> None:
    """Wait until it holds."""
    give_up = time.monotonic() + 120
    while not check():
        assert time.monotonic() < give_up
        time.sleep(0.1)


def patiently(edge: Edge, tenant: str, ask: Callable[[openai.OpenAI], Any]) -> Any:
    """What `ask` finds, tried until an edge answers again."""
    give_up = time.monotonic() + 120
    while True:
        try:
            with client_of(edge, tenant) as client:
                return ask(client)
        except (openai.APIConnectionError, openai.InternalServerError):
            assert time.monotonic() < give_up
            time.sleep(0.5)
