"""The paths of the SDKs over HTTP: bodies, statuses, headers, error shapes. The SDKs themselves: tests/integration/edge."""

from typing import Any

import pytest
from anthropic.types import Message, MessageTokensCount, ModelInfo
from openai.types import Model
from openai.types.chat import ChatCompletion
from openai.types.responses import Response

from tests.unit.api.faces import Played, client
from tests.unit.api.made import chunk, events, failed, response, strict

CHAT: dict[str, Any] = {"model": "auto", "messages": [{"role": "user", "content": "Name a river."}]}
MESSAGES = {**CHAT, "max_tokens": 50}
RESPONSES = {"model": "auto", "input": "Name a river."}
PATHS = {"/v1/chat/completions": CHAT, "/v1/messages": MESSAGES, "/v1/responses": RESPONSES}


def test_each_path_answers_in_its_own_shape() -> None:
    for path, model in (("/v1/chat/completions", ChatCompletion), ("/v1/messages", Message), ("/v1/responses", Response)):
        answer = client(Played()).post(path, json=PATHS[path])
        assert answer.status_code == 200, answer.text
        strict(model, answer.json())
        assert answer.headers["x-penstock-cost-nanousd"] == "42"
        assert answer.headers["request-id"] == answer.headers["x-request-id"]
        assert answer.headers["request-id"].startswith("req-")


@pytest.mark.parametrize("path", PATHS)
def test_what_is_published_is_the_keys_and_the_same_on_every_path(path: str) -> None:
    played = Played()
    answer = client(played).post(path, json={**PATHS[path], "tenant": "other"} if path != "/v1/responses" else PATHS[path])
    (request,) = played.asked
    assert (request.tenant, request.request_id) == ("acme", answer.headers["x-request-id"])
    assert (request.messages[0].role, request.messages[0].content) == ("user", "Name a river.")


@pytest.mark.parametrize(
    ("path", "header"),
    [("/v1/chat/completions", "x-ratelimit-limit-requests"), ("/v1/messages", "anthropic-ratelimit-requests-limit")],
)
def test_the_operators_limits_are_told(path: str, header: str) -> None:
    assert client(Played()).post(path, json=PATHS[path]).headers[header] == "60"


def error_of(body: dict[str, Any]) -> dict[str, Any]:
    error: dict[str, Any] = body["error"]
    return error


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("kind", "retryable", "status", "again"),
    [("limited", True, 429, "true"), ("timed_out", False, 504, "false"), ("unknown_model", False, 404, "false")],
)
def test_a_failure_is_the_same_streamed_or_not_before_the_first_piece(
    path: str, kind: str, retryable: bool, status: int, again: str
) -> None:
    for streamed in (False, True):
        answer = client(Played((failed(kind, retryable=retryable),))).post(path, json={**PATHS[path], "stream": streamed})
        assert (answer.status_code, answer.headers["x-should-retry"]) == (status, again)
        assert answer.headers.get("retry-after") == ("5" if retryable else None)
        assert error_of(answer.json())["message"] == f"it was {kind}"


def test_overloaded_is_529_to_anthropics_clients() -> None:
    answer = client(Played((failed("overloaded", retryable=True),))).post("/v1/messages", json=MESSAGES)
    assert (answer.status_code, error_of(answer.json())["type"]) == (529, "overloaded_error")
    assert answer.json()["request_id"] == answer.headers["request-id"]


@pytest.mark.parametrize("path", PATHS)
def test_a_failure_after_the_first_piece_ends_the_stream_with_it(path: str) -> None:
    pieces = (chunk(0, content="Dan"), failed("server_error"))
    answer = client(Played(pieces)).post(path, json={**PATHS[path], "stream": True})
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert "it was server_error" in str(events(answer.content)[-1].data)


@pytest.mark.parametrize("path", PATHS)
def test_a_stream_ends_as_its_clients_expect(path: str) -> None:
    answer = client(Played((chunk(0, content="Dan"), response()))).post(path, json={**PATHS[path], "stream": True})
    last = events(answer.content)[-1]
    ends = {"/v1/chat/completions": None, "/v1/messages": "message_stop", "/v1/responses": "response.completed"}
    assert last.name == ends[path]


@pytest.mark.parametrize("path", [*PATHS, "/v1/messages/count_tokens"])
def test_who_may_come_in(path: str) -> None:
    body = PATHS.get(path, CHAT)
    assert client(Played(), key="nobody").post(path, json=body).status_code == 401
    assert client(Played(), key="reader").post(path, json=body).status_code == (200 if "count" in path else 403)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "raw", [b"", b"{", b"[]", b"7", b'{"model":1}', b'{"model":"m"}', b'{"model":"m","messages":{}}', b'{"model":"m","input":{}}']
)
def test_a_body_that_is_no_request_is_a_400(path: str, raw: bytes) -> None:
    played = Played()
    answer = client(played).post(path, content=raw)
    assert answer.status_code == 400, answer.text
    assert answer.headers["x-should-retry"] == "false"
    assert played.asked == []


def test_too_long_a_body_is_a_413() -> None:
    answer = client(Played()).post("/v1/messages", content=b" " * 4_000_001)
    assert (answer.status_code, error_of(answer.json())["type"]) == (413, "request_too_large")


def test_counting_publishes_nothing() -> None:
    played = Played()
    answer = client(played, key="reader").post("/v1/messages/count_tokens", json=CHAT)
    assert strict(MessageTokensCount, answer.json()).input_tokens > 4
    assert played.asked == []


def test_models_in_either_shape() -> None:
    openai, anthropic = client(Played()), client(Played())
    anthropic.headers["anthropic-version"] = "2023-06-01"
    names = [strict(Model, each).id for each in openai.get("/v1/models").json()["data"]]
    assert names == ["auto", "gpt-4o-mini", "openai/gpt-4o-mini"]
    page = anthropic.get("/v1/models").json()
    assert [strict(ModelInfo, each).id for each in page["data"]] == names
    assert (page["first_id"], page["last_id"], page["has_more"]) == (names[0], names[-1], False)
    assert strict(ModelInfo, anthropic.get("/v1/models/openai/gpt-4o-mini").json()).id == "openai/gpt-4o-mini"
    assert openai.get("/v1/models/none").status_code == 404
