"""How every adapter names trouble, and whether it can have been billed: tried on real sockets."""

import asyncio
import json
import time
from email.utils import formatdate

import pytest

from processors.providers.contract import Completion, Failed
from schemas.calls import Billing, FailureKind
from tests.contract.providers.cases import EVERY, KEY, TEXT
from tests.contract.providers.test_provider_answers import complete
from tests.contract.providers.wire import Ending, Reply
from tests.unit.providers.calls import call

STREAMED = pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])


def chat(spoken, *, streamed, **options):
    if streamed:
        return Reply(spoken.stream("chat"), content_type=spoken.stream_type, chunked=True, **options)
    return Reply(spoken.recorded("chat"), **options)


def named(found, kind, billing):
    assert isinstance(found, Failed), found
    assert (found.failure.kind, found.failure.billing) == (kind, billing), found.failure
    told = repr(found)
    for secret in (KEY, "SECRET", TEXT, "Hello"):
        assert secret not in told, told
    return found


@EVERY
@STREAMED
@pytest.mark.parametrize(
    ("status", "recorded", "kind"),
    [
        (400, "error_400", FailureKind.REJECTED),
        (401, "error_401", FailureKind.UNAUTHORIZED),
        (403, "error_401", FailureKind.UNAUTHORIZED),
        (404, "error_400", FailureKind.NOT_FOUND),
        (400, "error_context", FailureKind.CONTEXT_TOO_LONG),
        (413, "error_400", FailureKind.CONTEXT_TOO_LONG),
        (418, "error_400", FailureKind.REJECTED),
        (429, "error_429", FailureKind.RATE_LIMITED),
        (500, "error_5xx", FailureKind.SERVER_ERROR),
        (502, "error_5xx", FailureKind.SERVER_ERROR),
        (503, "error_5xx", FailureKind.OVERLOADED),
        (529, "error_5xx", FailureKind.OVERLOADED),
    ],
)
async def test_an_error_status_is_named_and_not_billed(spoken, server, status, recorded, kind, streamed):  # noqa: PLR0917
    body = json.loads(spoken.recorded(recorded))
    if spoken.name == "google":
        body["error"]["code"] = status
    reply = Reply(json.dumps(body).encode(), status=status)
    found = await complete(spoken, server, call(), reply, chunks=[] if streamed else None)
    failed = named(found, kind, Billing.NOT_BILLED)
    assert failed.failure.http_status == (401 if spoken.name == "google" and recorded == "error_401" else status)
    assert len(server.asked) == 1, "retries are the dispatcher's"


@EVERY
@pytest.mark.parametrize("body", [b"", b"<html>Bad gateway</html>", b"[]", b'{"error":"plain"}', b"\xff\xfe"], ids=repr)
async def test_an_error_reply_in_any_shape_is_named_by_its_status(spoken, server, body):
    found = await complete(spoken, server, call(), Reply(body, status=502, content_type="text/html"))
    named(found, FailureKind.SERVER_ERROR, Billing.NOT_BILLED)


@EVERY
@pytest.mark.parametrize(("said", "seconds"), [("7", 7.0), ("0.5", 0.5), ("-1", -1.0), ("1000000000", 1e9), ("soon", None)])
async def test_retry_after_is_passed_on_as_it_was_said(spoken, server, said, seconds):
    body = spoken.recorded("error_5xx")
    found = await complete(spoken, server, call(), Reply(body, status=503, headers=(("Retry-After", said),)))
    assert named(found, FailureKind.OVERLOADED, Billing.NOT_BILLED).failure.retry_after_s == seconds


@EVERY
async def test_retry_after_may_be_a_date(spoken, server):
    body = spoken.recorded("error_5xx")
    header = ("Retry-After", formatdate(time.time() + 30, usegmt=True))
    found = await complete(spoken, server, call(), Reply(body, status=503, headers=(header,)))
    assert named(found, FailureKind.OVERLOADED, Billing.NOT_BILLED).failure.retry_after_s == pytest.approx(30, abs=3)


@EVERY
async def test_a_redirect_is_not_followed(spoken, server):
    reply = Reply(b"{}", status=307, headers=(("Location", f"{server.address}/elsewhere"),))
    named(await complete(spoken, server, call(), reply), FailureKind.REJECTED, Billing.NOT_BILLED)
    assert len(server.asked) == 1


@EVERY
@STREAMED
async def test_refused(spoken, server, unused_tcp_port, streamed):
    server.address = f"http://127.0.0.1:{unused_tcp_port}"
    named(await complete(spoken, server, call(), chunks=[] if streamed else None), FailureKind.UNREACHABLE, Billing.NOT_BILLED)


@EVERY
async def test_a_name_that_does_not_resolve(spoken, server):
    server.address = "http://no-such-host.invalid"
    named(await complete(spoken, server, call()), FailureKind.UNREACHABLE, Billing.NOT_BILLED)


@EVERY
async def test_a_certificate_that_nobody_signed(spoken, server, self_signed):
    server.address = self_signed
    named(await complete(spoken, server, call()), FailureKind.UNREACHABLE, Billing.NOT_BILLED)
    assert server.asked == []


@EVERY
async def test_plain_http_where_tls_is_spoken(spoken, server):
    server.address = server.address.replace("http:", "https:")
    named(await complete(spoken, server, call(), timeout_s=0.5), FailureKind.UNREACHABLE, Billing.NOT_BILLED)


@EVERY
@STREAMED
async def test_a_connection_that_never_stands_was_not_billed(spoken, server, full_backlog, streamed):
    server.address = full_backlog
    begun = time.perf_counter()
    found = await complete(spoken, server, call(), chunks=[] if streamed else None, timeout_s=0.5)
    named(found, FailureKind.UNREACHABLE, Billing.NOT_BILLED)
    assert time.perf_counter() - begun < 2


@EVERY
@STREAMED
@pytest.mark.parametrize("ending", [Ending.RESET, Ending.CLOSE], ids=["reset", "closed"])
async def test_a_connection_that_breaks_before_the_reply_may_have_been_billed(spoken, server, ending, streamed):
    found = await complete(spoken, server, call(), Reply(b"", ending=ending, silent=True), chunks=[] if streamed else None)
    named(found, FailureKind.INTERRUPTED, Billing.UNKNOWN)
    assert len(server.asked) == 1, "a request is never sent a second time"


@EVERY
async def test_a_reused_connection_that_breaks_is_not_tried_again(spoken, server):
    server.will(Reply(spoken.recorded("chat")), Reply(b"", ending=Ending.RESET, silent=True), Reply(spoken.recorded("chat")))
    adapter = spoken.adapter(server.address)
    try:
        assert isinstance(await adapter.complete(call(), timeout_s=5), Completion)
        named(await adapter.complete(call(), timeout_s=5), FailureKind.INTERRUPTED, Billing.UNKNOWN)
    finally:
        await adapter.close()
    assert len(server.asked) == 2


@EVERY
@STREAMED
@pytest.mark.parametrize("ending", [Ending.RESET, Ending.CLOSE], ids=["reset", "closed"])
async def test_a_body_that_breaks_off_may_have_been_billed(spoken, server, ending, streamed):
    # Before the last event tells how it ended.
    cut = len(spoken.stream("chat")) // 3 if streamed else 40
    found = await complete(
        spoken, server, call(), chat(spoken, streamed=streamed, cut=cut, ending=ending), chunks=[] if streamed else None
    )
    named(found, FailureKind.INTERRUPTED, Billing.UNKNOWN)


@EVERY
async def test_a_stream_that_ends_early_in_good_order_is_interrupted(spoken, server):
    body = spoken.stream("chat")
    for cut in (0, len(body) // 3, len(body) // 2):
        found = await complete(spoken, server, call(), chat(spoken, streamed=True, cut=cut), chunks=[])
        named(found, FailureKind.INTERRUPTED, Billing.UNKNOWN)


@EVERY
async def test_a_stream_without_its_last_event_is_whole_once_it_told_why_it_ended(spoken, server):
    body = spoken.stream("chat")
    if spoken.kind.value in {"google", "ollama"}:
        return  # their last event is the one that tells
    last = body.rstrip().rfind(b"\n\n") + 2
    found = await complete(spoken, server, call(), Reply(body[:last], content_type=spoken.stream_type, chunked=True), chunks=[])
    assert isinstance(found, Completion), found
    assert (found.output.content, found.usage.output_tokens) == (TEXT, 7)


@EVERY
@STREAMED
async def test_no_answer_within_the_deadline(spoken, server, streamed):
    begun = time.perf_counter()
    reply = Reply(b"", ending=Ending.HANG, silent=True)
    found = await complete(spoken, server, call(), reply, chunks=[] if streamed else None, timeout_s=0.4)
    named(found, FailureKind.TIMED_OUT, Billing.UNKNOWN)
    assert time.perf_counter() - begun < 2


@EVERY
@STREAMED
async def test_a_body_that_drips_ends_at_the_deadline_of_the_whole_call(spoken, server, streamed):
    begun = time.perf_counter()
    found = await complete(
        spoken, server, call(), chat(spoken, streamed=streamed, drip_s=0.05), chunks=[] if streamed else None, timeout_s=0.5
    )
    named(found, FailureKind.TIMED_OUT, Billing.UNKNOWN)
    assert time.perf_counter() - begun < 2


@EVERY
async def test_cancellation_passes_through_and_leaves_no_connection(spoken, server):
    server.will(Reply(b"", ending=Ending.HANG, silent=True))
    adapter = spoken.adapter(server.address)
    task = asyncio.create_task(adapter.complete(call(), timeout_s=5))
    await asyncio.wait_for(server.arrived.wait(), 5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await adapter.close()


@EVERY
@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        pytest.param(b"<!DOCTYPE html><title>SECRET</title>", "text/html", id="HTML with 200"),
        pytest.param(b'{"choices": [', "application/json", id="half a JSON"),
        pytest.param(b"", "application/json", id="nothing"),
        pytest.param(b"[]", "application/json", id="a list"),
        pytest.param(b"{}", "application/json", id="an empty object"),
        pytest.param(b'"SECRET"', "application/json", id="a text"),
        pytest.param(b'{"a": "\xff"}', "application/json", id="no UTF-8"),
        pytest.param(b"[" * 5000, "application/json", id="deep nesting"),
    ],
)
async def test_a_whole_reply_that_is_none_is_malformed(spoken, server, body, content_type):
    found = await complete(spoken, server, call(), Reply(body, content_type=content_type))
    named(found, FailureKind.MALFORMED_REPLY, Billing.UNKNOWN)


@EVERY
async def test_html_in_place_of_a_stream_is_malformed(spoken, server):
    found = await complete(spoken, server, call(), Reply(b"<html>\n\n<p>SECRET</p>\n\n", content_type="text/html"), chunks=[])
    named(found, FailureKind.MALFORMED_REPLY, Billing.UNKNOWN)


@EVERY
async def test_an_event_that_is_no_json_is_malformed(spoken, server):
    body = spoken.stream("chat")
    at = body.index("21 °C".encode())
    body = body[:at] + body[at:].replace(b"}", b"", 1)
    found = await complete(spoken, server, call(), Reply(body, content_type=spoken.stream_type, chunked=True), chunks=[])
    named(found, FailureKind.MALFORMED_REPLY, Billing.UNKNOWN)


@EVERY
async def test_an_error_inside_a_stream_is_named(spoken, server):
    reply = Reply(spoken.stream("error_event"), content_type=spoken.stream_type, chunked=True)
    found = await complete(spoken, server, call(), reply, chunks=[])
    kind = FailureKind.OVERLOADED if spoken.name in {"anthropic", "google"} else FailureKind.SERVER_ERROR
    named(found, kind, Billing.UNKNOWN)


@EVERY
async def test_a_reply_of_more_than_16_mib_is_given_up(spoken, server):
    body = b'{"padding":"' + b"x" * (17 * 1024 * 1024) + b'"}'
    found = await complete(spoken, server, call(), Reply(body, chunked=True, pieces=64), timeout_s=30)
    named(found, FailureKind.MALFORMED_REPLY, Billing.UNKNOWN)


@EVERY
async def test_a_request_that_cannot_be_put_into_words_is_never_sent(spoken, server):
    found = await complete(spoken, server, call(extra_json="{SECRET"))
    named(found, FailureKind.REJECTED, Billing.NOT_BILLED)
    assert server.asked == []
