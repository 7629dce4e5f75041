"""The native paths over a log in memory: status codes, shapes, and whose is whose."""

import json

import pytest

from schemas.outcomes import ErrorInfo, ResponseStatus
from schemas.requests import InferenceRequest, Message
from streams import topics
from streams.edge.mailbox import Mailbox
from streams.ids import new_id
from tests.unit.edge.native_log import MemoryLog, Process, chunk, final, streamed

ASK = {"messages": [{"role": "user", "content": "Name a river."}], "stream": True}


def events_of(text: str) -> list[tuple[str, str, dict]]:
    found = []
    for block in text.split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if "event" in lines:
            found.append((lines["event"], lines.get("id", ""), json.loads(lines["data"])))
    return found


def test_accepted_and_shown() -> None:
    log = MemoryLog(streamed)
    client = Process(log).client()
    accepted = client.post("/v1/requests", json=ASK)
    assert accepted.status_code == 202
    location = accepted.headers["location"]
    assert accepted.json() == {
        "request_id": location.removeprefix("/v1/requests/"),
        "status": "queued",
        "events": f"{location}/events",
    }
    shown = client.get(location).json()
    assert shown["status"] == "ok"
    assert shown["response"]["output"]["content"] == "The Rhine."
    assert [entry["kind"] for entry in shown["lineage"]] == ["request", "response"]
    assert shown["cost"]["calls"] == 0


def test_a_request_nobody_has_answered_is_queued() -> None:
    client = Process(MemoryLog()).client()
    shown = client.get(client.post("/v1/requests", json=ASK).headers["location"]).json()
    assert (shown["status"], shown["response"]) == ("queued", None)


def test_a_process_that_has_seen_nothing_finds_the_same() -> None:
    log = MemoryLog(streamed)
    location = Process(log).client().post("/v1/requests", json=ASK).headers["location"]
    log.followers.clear()
    blind = MemoryLog(lines=[])
    blind.followers, late = [], Process(blind)
    late.lineages._reading = log  # type: ignore[assignment]
    assert late.client().get(location).json()["response"]["output"]["content"] == "The Rhine."


def test_prefer_wait() -> None:
    client = Process(MemoryLog(streamed)).client()
    answer = client.post("/v1/requests", json=ASK, headers={"prefer": "wait=5"})
    assert answer.status_code == 200
    assert answer.json()["output"]["content"] == "The Rhine."
    assert answer.headers["x-penstock-cost-nanousd"] == "1500"
    unanswered = Process(MemoryLog()).client().post("/v1/requests", json=ASK, headers={"prefer": "wait=0"})
    assert unanswered.status_code == 202


def test_an_error_is_the_final_response_too() -> None:
    refused = ErrorInfo("no_candidate", "nothing fits", retryable=False)
    log = MemoryLog(lambda request: [final(request, status=ResponseStatus.ERROR, error=refused, output=None, call_id=None)])
    answer = Process(log).client().post("/v1/requests", json=ASK, headers={"prefer": "wait=5"})
    assert answer.status_code == 200
    assert answer.json()["error"]["kind"] == "no_candidate"


@pytest.mark.parametrize("end", ["", "/events"])
def test_another_tenants_is_as_unknown_as_none(end: str) -> None:
    log = MemoryLog(streamed)
    process = Process(log)
    location = process.client().post("/v1/requests", json=ASK).headers["location"]
    own, other = location.removeprefix("/v1/requests/"), "req-018bcfe56800" + "0" * 20
    theirs = process.client("nosy").get(f"{location}{end}")
    never = process.client("nosy").get(f"/v1/requests/{other}{end}")
    assert theirs.status_code == never.status_code == 404
    assert theirs.text.replace(own, "") == never.text.replace(other, "")
    assert theirs.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("name", ["x", "req-ffffffffffff" + "0" * 20, "req--00000000001" + "0" * 20, "é" * 300, "%00"])
def test_ids_that_cannot_be_are_unknown(name: str) -> None:
    assert Process(MemoryLog()).client().get(f"/v1/requests/{name}").status_code == 404


def test_events_are_told_from_the_log_and_again() -> None:
    client = Process(MemoryLog(streamed)).client()
    location = client.post("/v1/requests", json=ASK).headers["location"]
    events = events_of(client.get(f"{location}/events").text)
    assert [name for name, _, _ in events] == ["chunk", "chunk", "completed"]
    assert "".join(data["content"] for name, _, data in events if name == "chunk") == "The Rhine."
    assert events[-1][2]["usage"]["output_tokens"] == 4
    assert events[-1][2]["cost_nanousd"] == 1_500
    rest = client.get(f"{location}/events", headers={"last-event-id": events[0][1]})
    assert events_of(rest.text) == events[1:]
    assert client.get(f"{location}/events", headers={"last-event-id": "end"}).status_code == 204
    assert client.get(f"{location}/events", headers={"last-event-id": "nonsense"}).status_code == 400


def test_a_failed_calls_chunks_are_void() -> None:
    def answers(request):
        return [
            chunk(request, 0, "The Da", call_id="lost"),
            chunk(request, 0, "The ", call_id="call-1", attempt=2),
            chunk(request, 1, "Rhine.", last=True),
            final(request),
        ]

    client = Process(MemoryLog(answers)).client()
    location = client.post("/v1/requests", json=ASK).headers["location"]
    events = events_of(client.get(f"{location}/events").text)
    assert [name for name, _, _ in events] == ["chunk", "void", "chunk", "chunk", "completed"]
    assert events[1][2] == {"call_id": "lost"}


def test_more_chunks_than_a_page_come_in_pages() -> None:
    def answers(request):
        return [*(chunk(request, seq, "x", last=seq == 999) for seq in range(1_000)), final(request, "x" * 1_000)]

    client = Process(MemoryLog(answers)).client()
    location = client.post("/v1/requests", json=ASK).headers["location"]
    events = events_of(client.get(f"{location}/events").text)
    assert [data["seq"] for name, _, data in events if name == "chunk"] == list(range(1_000))


@pytest.mark.parametrize(
    ("body", "word"),
    [({}, "messages"), ({**ASK, "tenant": "x"}, "tenant"), ({**ASK, "nonsense": 1}, "nonsense"), ({**ASK, "model": ""}, "model")],
)
def test_what_cannot_be_asked_is_not_published(body: dict, word: str) -> None:
    log = MemoryLog()
    refused = Process(log).client().post("/v1/requests", json=body)
    assert refused.status_code == 400
    assert word in refused.json()["detail"]
    assert log.of(topics.REQUESTS) == []


def test_a_notice_before_the_answer_hides_nothing() -> None:
    """The id sent again with another body while the request is open: the log has a notice of it, and no answer yet."""
    log = MemoryLog(lambda request: [final(request, final=False, status=ResponseStatus.CONFLICT, output=None)])
    client = Process(log).client()
    shown = client.get(client.post("/v1/requests", json=ASK).headers["location"])
    assert (shown.status_code, shown.json()["status"]) == (200, "queued")


async def test_what_this_process_published_just_now_is_found_without_reading_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    log = MemoryLog()
    process = Process(log)
    monkeypatch.setattr(Mailbox, "caught_up", True)
    request = InferenceRequest(new_id("req"), "acme", "auto", messages=(Message("user", "Hi"),), stream=True)
    with process.asking.waiting(request) as waiting:
        await process.asking.publish(request, waiting, {})
    reads = log.reads
    known = await process.lineages.find("acme", request.request_id)
    assert log.reads == reads
    assert known is not None
    assert known.request is not None
    assert (known.request.stream, known.request.messages) == (True, ())
    assert known.request.deadline is not None
    assert await process.lineages.find("nosy", request.request_id) is None
