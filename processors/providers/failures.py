"""Naming trouble: HTTP statuses, headers and broken connections as a Failure. Whether to try again is for `processors.dispatch`.

Nothing a provider says in prose is repeated, for it may quote the prompt or the key; its error codes and request ids are.
"""

import email.utils
import math
import re
import ssl
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import aiohttp
import httpx2

from processors.providers.shape import identifier
from schemas.calls import Billing, Failure, FailureKind
from schemas.errors import ProviderContractError

_STATUS_KINDS = {
    401: FailureKind.UNAUTHORIZED,
    402: FailureKind.UNAUTHORIZED,
    403: FailureKind.UNAUTHORIZED,
    404: FailureKind.NOT_FOUND,
    408: FailureKind.TIMED_OUT,
    413: FailureKind.CONTEXT_TOO_LONG,
    429: FailureKind.RATE_LIMITED,
    503: FailureKind.OVERLOADED,
    529: FailureKind.OVERLOADED,
}
_NEXT_STEP = {
    FailureKind.UNAUTHORIZED: "check the provider's key, its rights and its credit",
    FailureKind.NOT_FOUND: "check the model's name and the provider's address in the deployment catalogue",
    FailureKind.CONTEXT_TOO_LONG: "shorten the prompt, or route it to a model with a larger context",
    FailureKind.REJECTED: "the provider's log tells more under the ids",
}
_CONTEXT_TOO_LONG = re.compile(
    r"context_length_exceeded|maximum context length|context (?:length|window|size)|prompt is too long"
    r"|input token count.{0,40}exceeds|too many (?:input )?tokens",
    re.IGNORECASE,
)
_UNSENT = (
    aiohttp.ClientConnectorError,  # refused, DNS, TLS, proxy
    aiohttp.ConnectionTimeoutError,
    aiohttp.ClientHttpProxyError,
    aiohttp.ServerFingerprintMismatch,
    aiohttp.InvalidURL,
    aiohttp.NonHttpUrlClientError,
    httpx2.ConnectError,
    httpx2.ConnectTimeout,
    httpx2.PoolTimeout,
    httpx2.ProxyError,
    httpx2.UnsupportedProtocol,
    httpx2.InvalidURL,
)
_TIMED_OUT = (TimeoutError, httpx2.TimeoutException)


def kind_of_status(status: int) -> FailureKind:
    """What a status means; what has no name is REJECTED, so that nothing unknown is retried.

    >>> [kind_of_status(s).value for s in (429, 500, 503, 529, 400, 307)]
    ['rate_limited', 'server_error', 'overloaded', 'overloaded', 'rejected', 'rejected']
    """
    if kind := _STATUS_KINDS.get(status):
        return kind
    return FailureKind.SERVER_ERROR if status >= 500 else FailureKind.REJECTED


def refusal(
    provider: str,
    status: int,
    headers: Mapping[str, str],
    *,
    code: Any = None,
    prose: str = "",
    retry_after_s: float | None = None,
) -> Failure:
    """The Failure of an error reply, which is never billed. `prose` is the provider's message: read, not repeated."""
    kind = kind_of_status(status)
    if kind is FailureKind.REJECTED and (_CONTEXT_TOO_LONG.search(prose) or _CONTEXT_TOO_LONG.search(str(code or ""))):
        kind = FailureKind.CONTEXT_TOO_LONG
    request_id = identifier(headers.get("x-request-id") or headers.get("request-id"))
    told = [f"{provider} answered {status}"]
    if word := identifier(code):
        told.append(f"({word})")
    if request_id:
        told.append(f"[request id {request_id}]")
    message = " ".join(told)
    if kind in _NEXT_STEP:
        message += f"; {_NEXT_STEP[kind]}"
    return Failure(
        kind,
        message,
        Billing.NOT_BILLED,
        http_status=status,
        retry_after_s=retry_after_s if retry_after_s is not None else retry_after(headers, now=datetime.now(UTC)),
    )


def retry_after(headers: Mapping[str, str], *, now: datetime) -> float | None:
    """Seconds as the provider said them, negative and absurd ones too: the dispatcher clamps. None when it did not say.

    `Retry-After` is seconds or an HTTP date (RFC 9110, 10.2.3); `retry-after-ms` is OpenAI's finer word.

    >>> noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
    >>> [retry_after({"retry-after": v}, now=noon) for v in ("7", "-1", "1000000000", "Thu, 01 Jan 2026 12:00:30 GMT", "soon")]
    [7.0, -1.0, 1000000000.0, 30.0, None]
    """
    if (ms := _number(headers.get("retry-after-ms"))) is not None:
        return ms / 1000
    if (said := headers.get("retry-after")) is None:
        return None
    if (seconds := _number(said)) is not None:
        return seconds
    try:
        at = email.utils.parsedate_to_datetime(said)
    except ValueError:
        return None
    return (at.replace(tzinfo=at.tzinfo or UTC) - now).total_seconds()


def broken(provider: str, error: BaseException) -> Failure:
    """The Failure of a call that broke without an error reply.

    What failed before a connection stood (refused, DNS, TLS, proxy) was not sent. All else may have been read and billed: a
    reset, a reply that ends early, a server that hangs up.
    """
    chain = list(_causes(error))
    if (ours := next((e for e in chain if isinstance(e, ProviderContractError)), None)) is not None:
        return malformed(provider, ours)
    # The SDKs' aiohttp transports call a reset "connect timeout": what aiohttp itself said decides where it is known.
    roots = [e for e in chain if isinstance(e, aiohttp.ClientError)] or chain
    name = type(roots[-1]).__name__
    if any(isinstance(e, _UNSENT) for e in roots) or _handshake_failed(chain):
        return unreachable(provider, name)
    if any(isinstance(e, _TIMED_OUT) for e in roots):
        return Failure(FailureKind.TIMED_OUT, f"{provider} did not answer in time ({name}); it may have billed the call")
    return Failure(
        FailureKind.INTERRUPTED, f"the connection to {provider} broke after sending ({name}); it may have billed the call"
    )


def unreachable(provider: str, reason: str) -> Failure:
    return Failure(
        FailureKind.UNREACHABLE,
        f"no connection to {provider} ({reason}), nothing was sent; check its address and the network",
        Billing.NOT_BILLED,
    )


def timed_out(provider: str, timeout_s: float, *, connected: bool) -> Failure:
    """The Failure of a call that reached its total deadline."""
    if not connected:
        return unreachable(provider, f"not within {timeout_s:.3g} s")
    return Failure(FailureKind.TIMED_OUT, f"{provider} had not finished after {timeout_s:.3g} s; it may have billed the call")


def malformed(provider: str, what: object, *, billing: Billing = Billing.UNKNOWN) -> Failure:
    """The Failure of a reply in a shape that the adapter does not know. `what` must not quote it."""
    return Failure(FailureKind.MALFORMED_REPLY, f"{provider} sent what its adapter does not understand: {what}", billing)


def truncated(provider: str) -> Failure:
    return Failure(FailureKind.INTERRUPTED, f"the stream of {provider} ended before the answer did; it may have billed the call")


def given_up(provider: str, error: BaseException) -> Failure:
    """The Failure of trouble that has no name here: nothing unknown is retried, and whether it was billed is not known."""
    return Failure(FailureKind.REJECTED, f"the call of {provider} ended with {type(error).__name__}, which has no name here")


def unsupported(provider: str, what: str, *, offered: bool) -> Failure:
    """The Failure of a call that was not made: nobody could be asked that, or this provider does not offer it."""
    kind = FailureKind.REJECTED if offered else FailureKind.NOT_FOUND
    return Failure(kind, f"{provider} was not called: {what}", Billing.NOT_BILLED)


def _number(said: str | None) -> float | None:
    if said is None:
        return None
    try:
        number = float(said)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _handshake_failed(chain: list[BaseException]) -> bool:
    """A TLS failure that no library wrapped as a connect error: a certificate is checked before anything is sent."""
    return any(isinstance(e, ssl.SSLCertVerificationError) for e in chain)
