"""Idempotency-Keys over a log in memory: one request a key, whoever asks, however often."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from schemas.idempotency import IdempotencyClaim
from schemas.requests import InferenceRequest, Message
from streams import topics
from streams.edge.idempotency import _digest, body_digest, key_of
from streams.edge.principal import Refused
from tests.unit.edge.native_log import MemoryLog, Process, final, streamed

CHAT = {"model": "auto", "messages": [{"role": "user", "content": "Name a river."}]}
KEY = {"idempotency-key": "k-1"}


def ids(log: MemoryLog) -> set[str]:
    return {log.serde.of(InferenceRequest).decode(line.value).request_id for line in log.of(topics.REQUESTS)}


def claimed(log: MemoryLog, *, ago_s: float, request_id: str | None = None, text: str = "Name a river.") -> str:
    """A claim of k-1 by a process that was killed before it published."""
    made_at = datetime.now(UTC) - timedelta(seconds=ago_s)
    request_id = request_id or f"req-{int(made_at.timestamp() * 1000):012x}{'a' * 20}"
    request = InferenceRequest("", "acme", "auto", messages=(Message("user", text),))
    digest = body_digest(log.serde.of(InferenceRequest), request)
    claim = IdempotencyClaim(request_id, "acme", digest, made_at, made_at + timedelta(hours=24))
    log.put(topics.IDEMPOTENCY, _digest("acme", "k-1").decode(), log.serde.encode(claim), made_at)
    return request_id


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/requests"])
def test_the_answer_comes_again_and_nothing_is_asked(path: str) -> None:
    log = MemoryLog(streamed)
    headers = {**KEY, "prefer": "wait=5"}
    answers = [Process(log).client().post(path, json=CHAT, headers=headers) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 200]
    told = [{name: value for name, value in answer.json().items() if name != "created"} for answer in answers]
    assert told[0] == told[1] == told[2]
    assert len(log.of(topics.REQUESTS)) == 1


def test_a_stream_comes_again_as_a_stream() -> None:
    log = MemoryLog(streamed)
    process = Process(log)
    first, again = (process.client().post("/v1/chat/completions", json={**CHAT, "stream": True}, headers=KEY) for _ in range(2))
    assert first.text.endswith("data: [DONE]\n\n")
    assert again.text.endswith("data: [DONE]\n\n")
    assert "The Rhine." in again.text
    assert len(log.of(topics.REQUESTS)) == 1


def test_another_body_is_422() -> None:
    client = Process(MemoryLog(streamed)).client()
    client.post("/v1/chat/completions", json=CHAT, headers=KEY)
    other = client.post("/v1/chat/completions", json={**CHAT, "temperature": 1}, headers=KEY)
    assert other.status_code == 422
    assert other.json()["error"]["code"] == "idempotency_key_reused"


def test_an_open_request_is_409_and_natively_the_same_location() -> None:
    log = MemoryLog()
    process = Process(log)
    first = process.client().post("/v1/requests", json=CHAT, headers=KEY)
    again = process.client().post("/v1/requests", json=CHAT, headers=KEY)
    assert (first.status_code, again.status_code) == (202, 202)
    assert first.headers["location"] == again.headers["location"]
    shaped = process.client().post("/v1/chat/completions", json=CHAT, headers=KEY)
    assert shaped.status_code == 409
    assert shaped.headers["retry-after"]
    assert len(log.of(topics.REQUESTS)) == 1


def test_a_key_is_its_tenants() -> None:
    log = MemoryLog(streamed)
    process = Process(log)
    answers = {t: process.client(t).post("/v1/chat/completions", json=CHAT, headers=KEY).json()["id"] for t in ("acme", "globex")}
    assert len(set(answers.values())) == 2


def test_what_cannot_be_asked_claims_nothing() -> None:
    log = MemoryLog(streamed)
    client = Process(log).client()
    for _ in range(2):
        assert client.post("/v1/chat/completions", json={**CHAT, "temperature": 9}, headers=KEY).status_code == 400
    assert log.of(topics.IDEMPOTENCY) == []
    assert client.post("/v1/chat/completions", json=CHAT, headers=KEY).status_code == 200


@pytest.mark.parametrize("key", ["", '""', "x" * 257])
def test_keys_that_cannot_be(key: str) -> None:
    with pytest.raises(Refused):
        key_of({"idempotency-key": key})


def test_a_quoted_key_is_the_same_as_a_bare_one() -> None:
    assert key_of({"idempotency-key": '"k-1"'}) == key_of(KEY) == "k-1"


@pytest.mark.parametrize(
    ("ago_s", "status"),
    [
        pytest.param(1, 409, id="its maker may still publish"),
        pytest.param(60, 200, id="its maker is gone"),
        pytest.param(3_600, 409, id="too late to be found"),
        pytest.param(90_000, 200, id="expired"),
    ],
)
def test_a_claim_without_a_request(ago_s: float, status: int) -> None:
    log = MemoryLog(streamed)
    name = claimed(log, ago_s=ago_s)
    answer = Process(log).client().post("/v1/chat/completions", json=CHAT, headers=KEY)
    assert answer.status_code == status, answer.text
    if status == 200:
        assert (answer.json()["id"] == name) is (ago_s < 3_600)
        assert ids(log) == {answer.json()["id"]}
    else:
        assert ids(log) == set()


def test_the_first_claim_that_holds_wins() -> None:
    log = MemoryLog()
    first = claimed(log, ago_s=30)
    claimed(log, ago_s=20, request_id="second")
    process = Process(log)
    assert (claim := process.claims.of("acme", "k-1")) is not None
    assert claim.request_id == first
    claimed(log, ago_s=-86_400, request_id="a day later")
    assert (claim := process.claims.of("acme", "k-1")) is not None
    assert claim.request_id == "a day later"


def test_a_claim_that_cannot_be_read_is_passed_over() -> None:
    log = MemoryLog()
    log.put(topics.IDEMPOTENCY, _digest("acme", "k-1").decode(), b"junk")
    assert Process(log).claims.of("acme", "k-1") is None


async def test_processes_that_race_ask_once() -> None:
    log = MemoryLog()
    processes = [Process(log) for _ in range(5)]

    async def ask(process: Process, number: int) -> str:
        request = InferenceRequest(f"req-{number}", "acme", "auto", messages=(Message("user", "Hi"),))
        with process.asking.waiting(request) as waiting:
            try:
                await process.asking.publish(request, waiting, KEY)
            except Refused as refused:
                return refused.refusal.code
            return "asked"

    outcomes = await asyncio.gather(*(ask(process, i) for i, process in enumerate(processes)))
    assert sorted(outcomes) == ["asked", *["in_flight"] * 4]
    assert len(log.of(topics.REQUESTS)) == 1


async def test_a_process_that_follows_late_believes_the_log_and_not_its_own_claim() -> None:
    """Its claim is written before it has read another's that stands before it."""
    log = MemoryLog(streamed)
    fast, late = Process(log), Process(log)
    log.followers.remove(late._follow)
    request = InferenceRequest("req-fast", "acme", "auto", messages=(Message("user", "Hi"),))
    with fast.asking.waiting(request) as waiting:
        await fast.asking.publish(request, waiting, KEY)
    again = InferenceRequest("req-late", "acme", "auto", messages=(Message("user", "Hi"),))
    with late.asking.waiting(again) as waiting:
        publishing = asyncio.create_task(late.asking.publish(again, waiting, KEY))
        await asyncio.sleep(0.01)
        assert not publishing.done()
        for line in log.lines:
            late._follow(line)
        with pytest.raises(Refused) as refused:
            await publishing
    assert refused.value.refusal.status == 409
    assert ids(log) == {"req-fast"}


async def test_a_log_that_takes_no_claim_is_said_to_be_away(monkeypatch: pytest.MonkeyPatch) -> None:
    log = MemoryLog()
    process = Process(log)
    monkeypatch.setattr("streams.edge.idempotency.CLAIMED_WITHIN_S", 0.01)
    log.followers.clear()
    request = InferenceRequest("req-1", "acme", "auto", messages=(Message("user", "Hi"),))
    with process.asking.waiting(request) as waiting, pytest.raises(Refused) as refused:
        await process.asking.publish(request, waiting, KEY)
    assert refused.value.refusal.status == 503
    assert ids(log) == set()


async def test_whoever_joins_gets_the_answer_when_it_comes() -> None:
    log = MemoryLog()
    process = Process(log)
    request = InferenceRequest(process.door.request_id(_Http()), "acme", "auto", messages=(Message("user", "Hi"),))
    with process.asking.waiting(request) as first:
        await process.asking.publish_or_join(request, first, KEY)
        with process.asking.waiting(request) as second:
            joined = await process.asking.publish_or_join(request, second, KEY)
            log.tell(final(request))
            assert (await joined.final()).output.content == "The Rhine."
    assert len(log.of(topics.REQUESTS)) == 1


class _Http:
    class state:  # noqa: N801
        pass
