"""Google's Gemini over its own wire.

Its OpenAI-compatible endpoint would be less code. It leaves out what money and routing need: thoughts and cached tokens in the
usage, the reasons of a blocked answer, RetryInfo, and embeddings of many texts in one call.
"""

import time
from urllib.parse import urlsplit

from processors.providers.contract import Completion, Failed, OnChunk, ProviderCall
from processors.providers.google_errors import refusal_in
from processors.providers.google_stream import ContentFold
from processors.providers.google_wire import from_wire, to_wire
from processors.providers.http_call import HttpCall
from processors.providers.sessions import Session
from processors.providers.sse import Events
from schemas.calls import Failure
from schemas.health import RateLimits


class Google:
    """The only place that awaits Google. The key travels in a header, never in the address."""

    def __init__(self, name: str, *, address: str, api_key: str, connections: int = 256) -> None:
        """`address` may end with the API's version; without one, v1beta is meant."""
        self._name = name
        self._address = address.rstrip("/") + ("" if urlsplit(address).path.strip("/") else "/v1beta")
        self._http = HttpCall(
            name,
            Session(address, connections=connections),
            {"Content-Type": "application/json", "x-goog-api-key": api_key},
            lambda reply, status, headers: refusal_in(name, reply, status, headers),
        )

    async def complete(self, call: ProviderCall, *, timeout_s: float, on_chunk: OnChunk | None = None) -> Completion | Failed:
        """See `Adapter.complete`."""
        return await self._http.run(call, self._make, timeout_s=timeout_s, on_chunk=on_chunk)

    async def probe(self, *, timeout_s: float) -> RateLimits | Failure | None:
        """See `Adapter.probe`: a list of models."""
        return await self._http.probe(f"{self._address}/models?pageSize=1", timeout_s=timeout_s)

    async def close(self) -> None:
        await self._http.session.close()

    async def _make(self, call: ProviderCall, on_chunk: OnChunk | None) -> Completion | Failed:
        started = time.perf_counter()
        path, body = to_wire(call, stream=on_chunk is not None)
        url = self._address + path
        if on_chunk is not None:
            fold = ContentFold(call, self._name)
            return await self._http.stream(url, body, call.headers, Events(), fold, on_chunk=on_chunk, started=started)
        reply = await self._http.ask(url, body, call.headers)
        return reply if isinstance(reply, Failed) else from_wire(call, reply, provider=self._name)
