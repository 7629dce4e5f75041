"""Errors by their causes: what the SDKs and both transports wrap around them."""

import itertools
import ssl

import aiohttp
import anthropic
import httpx2
import openai
import pytest
from aiohttp.client_reqrep import ConnectionKey

from processors.providers import anthropic as ours_anthropic
from processors.providers import openai as ours_openai
from processors.providers.failures import broken, refusal
from schemas.calls import Billing, FailureKind

REQUEST = httpx2.Request("POST", "http://127.0.0.1/v1/chat/completions")
KEY = ConnectionKey("h", 1, is_ssl=False, ssl=True, proxy=None, proxy_auth=None, proxy_headers_hash=None)
UNSENT = (FailureKind.UNREACHABLE, Billing.NOT_BILLED)
SENT = (FailureKind.INTERRUPTED, Billing.UNKNOWN)
LATE = (FailureKind.TIMED_OUT, Billing.UNKNOWN)


def chained(*errors):
    """The last error, raised from the one before, and so on."""
    for cause, error in itertools.pairwise(errors):
        error.__cause__ = cause
    return errors[-1]


CASES = [
    pytest.param((aiohttp.ClientConnectorError(KEY, OSError(111, "refused")), httpx2.ConnectError("")), UNSENT, id="refused"),
    pytest.param((aiohttp.ClientConnectorDNSError(KEY, OSError(-2, "no name")), httpx2.ConnectError("")), UNSENT, id="DNS"),
    pytest.param((aiohttp.ConnectionTimeoutError(), httpx2.ConnectTimeout("")), UNSENT, id="connect timeout"),
    pytest.param((ssl.SSLCertVerificationError("x"), httpx2.ConnectError("")), UNSENT, id="certificate"),
    pytest.param((httpx2.ConnectError(""),), UNSENT, id="httpx refused"),
    pytest.param((httpx2.PoolTimeout(""),), UNSENT, id="httpx pool"),
    pytest.param(
        (aiohttp.ServerDisconnectedError(), httpx2.ConnectTimeout("")),
        SENT,
        id="a reset that OpenAI's transport calls a connect timeout",
    ),
    pytest.param(
        (aiohttp.ServerDisconnectedError(), httpx2.ConnectError("")),
        SENT,
        id="a reset that Anthropic's transport calls a connect error",
    ),
    pytest.param((aiohttp.ClientOSError(104, "reset"), httpx2.ReadError("")), SENT, id="reset"),
    pytest.param((aiohttp.ClientPayloadError(), httpx2.ReadError("")), SENT, id="early end"),
    pytest.param((httpx2.ReadError(""),), SENT, id="httpx reset"),
    pytest.param((httpx2.RemoteProtocolError(""),), SENT, id="httpx hung up"),
    pytest.param((aiohttp.SocketTimeoutError(), httpx2.ReadTimeout("")), LATE, id="read timeout"),
    pytest.param((httpx2.ReadTimeout(""),), LATE, id="httpx read timeout"),
]


@pytest.mark.parametrize(("causes", "expected"), CASES)
@pytest.mark.parametrize("sdk", [openai, anthropic], ids=["openai", "anthropic"])
def test_what_was_sent_is_told_by_the_cause_and_not_by_the_wrapping(causes, expected, sdk):
    interpret = (ours_openai if sdk is openai else ours_anthropic).interpret
    for wrapping in (sdk.APIConnectionError(request=REQUEST), sdk.APITimeoutError(request=REQUEST)):
        failure = interpret(chained(*causes, wrapping))
        assert (failure.kind, failure.billing) == expected


@pytest.mark.parametrize(("causes", "expected"), CASES)
def test_the_same_without_a_wrapping(causes, expected):
    failure = broken("p", chained(*causes))
    assert (failure.kind, failure.billing) == expected


@pytest.mark.parametrize("interpret", [ours_openai.interpret, ours_anthropic.interpret], ids=["openai", "anthropic"])
def test_what_has_no_name_is_rejected(interpret):
    class Odd(openai.OpenAIError, anthropic.AnthropicError):
        pass

    failure = interpret(Odd("the prompt was SECRET"))
    assert (failure.kind, failure.billing) == (FailureKind.REJECTED, Billing.UNKNOWN)
    assert "SECRET" not in failure.message


def test_a_refusal_repeats_ids_and_codes_but_no_prose():
    headers = {"x-request-id": "req_1"}
    message = refusal("openai", 400, headers, code="unknown_parameter", prose="the prompt was SECRET").message
    assert message.startswith("openai answered 400 (unknown_parameter) [request id req_1]")
    assert "SECRET" not in refusal("openai", 400, {"x-request-id": "a SECRET b"}, code="a SECRET b").message
