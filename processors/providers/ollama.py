"""Ollama over its own wire.

Its OpenAI-compatible endpoint would be less code; it takes no `options`, so a prompt longer than the default context of a few
thousand tokens would be cut without a word, and no `keep_alive`. Who wants it names the server as a provider of kind `openai`.
"""

import time

from processors.providers.contract import Completion, Failed, OnChunk, ProviderCall
from processors.providers.http_call import HttpCall
from processors.providers.ollama_stream import LineFold
from processors.providers.ollama_wire import from_wire, refusal_in, to_wire
from processors.providers.sessions import Session
from processors.providers.sse import JsonLines
from schemas.calls import Failure
from schemas.health import RateLimits


class Ollama:
    """The only place that awaits Ollama. A key is sent when there is one: Ollama has none, a proxy before it may."""

    def __init__(self, name: str, *, address: str, api_key: str | None = None, connections: int = 256) -> None:
        self._name = name
        self._address = address.rstrip("/").removesuffix("/api")
        authorization = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._http = HttpCall(
            name,
            Session(address, connections=connections),
            {"Content-Type": "application/json", **authorization},
            lambda reply, status, headers: refusal_in(name, reply, status, headers),
        )

    async def complete(self, call: ProviderCall, *, timeout_s: float, on_chunk: OnChunk | None = None) -> Completion | Failed:
        """See `Adapter.complete`."""
        return await self._http.run(call, self._make, timeout_s=timeout_s, on_chunk=on_chunk)

    async def probe(self, *, timeout_s: float) -> RateLimits | Failure | None:
        """See `Adapter.probe`: a list of models."""
        return await self._http.probe(f"{self._address}/api/tags", timeout_s=timeout_s)

    async def close(self) -> None:
        await self._http.session.close()

    async def _make(self, call: ProviderCall, on_chunk: OnChunk | None) -> Completion | Failed:
        started = time.perf_counter()
        path, body = to_wire(call, stream=on_chunk is not None)
        url = self._address + path
        if on_chunk is not None and body.get("stream"):
            fold = LineFold(call, self._name)
            return await self._http.stream(url, body, call.headers, JsonLines(), fold, on_chunk=on_chunk, started=started)
        reply = await self._http.ask(url, body, call.headers)
        return reply if isinstance(reply, Failed) else from_wire(call, reply, provider=self._name)
