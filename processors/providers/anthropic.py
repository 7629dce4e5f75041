"""Anthropic through its SDK, which keeps credentials, headers, address and error classes; see `openai.py` for why no more."""

import time
from typing import Any

import anthropic
import httpx2
import orjson

from processors.providers import exchange
from processors.providers.anthropic_stream import MessageFold
from processors.providers.anthropic_wire import MESSAGES, from_wire, to_wire
from processors.providers.contract import Completion, Failed, OnChunk, ProviderCall
from processors.providers.failures import broken, given_up, malformed, refusal
from processors.providers.sessions import Session
from processors.providers.shape import parse, refuse_page
from processors.providers.sse import Events
from processors.providers.streaming import fold_stream
from processors.providers.transport import SILENCED, http_client
from schemas.calls import Failure
from schemas.health import RateLimits

MODELS = "/v1/models"
_ERRORS = (anthropic.AnthropicError, httpx2.HTTPError)


def interpret(error: Exception, provider: str = "anthropic") -> Failure:
    """Name the trouble of the SDK, or of its transport. What has no name is REJECTED: nothing unknown is retried."""
    if isinstance(error, anthropic.APIStatusError):
        return refusal(
            provider,
            error.status_code,
            error.response.headers,
            code=error.error_code or error.type,
            prose=error.api_message or "",
        )
    if isinstance(error, anthropic.APIResponseValidationError):
        return malformed(provider, "it does not validate")
    if isinstance(error, anthropic.APIConnectionError | httpx2.TransportError):
        return broken(provider, error)
    return given_up(provider, error)


class Anthropic:
    """The only place that awaits Anthropic. SDK retries are off: the dispatcher owns them."""

    def __init__(self, name: str, *, address: str, api_key: str, connections: int = 256) -> None:
        self._name = name
        self._address = address.rstrip("/").removesuffix("/v1")
        self._client = anthropic.AsyncAnthropic(
            api_key=api_key,
            base_url=self._address,
            max_retries=0,
            timeout=None,
            default_headers={name: anthropic.Omit() for name in SILENCED},  # type: ignore[misc]  # the SDK drops such headers
            http_client=http_client(Session(address, connections=connections)),
        )

    async def complete(self, call: ProviderCall, *, timeout_s: float, on_chunk: OnChunk | None = None) -> Completion | Failed:
        """See `Adapter.complete`."""
        return await exchange.run(
            self._name, call, self._make, timeout_s=timeout_s, on_chunk=on_chunk, errors=_ERRORS, interpret=self._interpret
        )

    async def probe(self, *, timeout_s: float) -> RateLimits | Failure | None:
        """See `Adapter.probe`: a list of models."""
        return await exchange.look(self._name, self._look, timeout_s=timeout_s, errors=_ERRORS, interpret=self._interpret)

    async def close(self) -> None:
        await self._client.close()

    async def _look(self) -> None:
        response: httpx2.Response = await self._client.get(f"{self._address}{MODELS}?limit=1", cast_to=httpx2.Response)
        refuse_page(response.headers.get("content-type"))

    async def _make(self, call: ProviderCall, on_chunk: OnChunk | None) -> Completion | Failed:
        started = time.perf_counter()
        body = to_wire(call, stream=on_chunk is not None)
        response = await self._post(body, call)
        if on_chunk is None:
            return from_wire(call, parse(response.content), provider=self._name)
        try:
            refuse_page(response.headers.get("content-type"))
            return await fold_stream(
                self._name,
                response.aiter_bytes(),
                Events(),
                MessageFold(call, self._name),
                on_chunk=on_chunk,
                started=started,
                errors=_ERRORS,
                interpret=self._interpret,
            )
        finally:
            await response.aclose()

    async def _post(self, body: dict[str, Any], call: ProviderCall) -> httpx2.Response:
        response: httpx2.Response = await self._client.post(
            self._address + MESSAGES,
            cast_to=httpx2.Response,
            content=orjson.dumps(body),
            options={"headers": {"Content-Type": "application/json", **call.headers}},
            stream=body.get("stream", False),
            stream_cls=anthropic.AsyncStream[Any],
        )
        return response

    def _interpret(self, error: Exception) -> Failure:
        return interpret(error, self._name)
