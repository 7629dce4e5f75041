"""Posts of JSON over aiohttp, for providers whose wire we speak ourselves."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import aiohttp
import orjson

from processors.providers import exchange
from processors.providers.contract import Completion, Failed, OnChunk, ProviderCall
from processors.providers.failures import broken, given_up
from processors.providers.sessions import Session, pieces, read
from processors.providers.shape import parse, refuse_page
from processors.providers.streaming import Decoder, Fold, fold_stream
from schemas.calls import Failure
from schemas.health import RateLimits

ERRORS = (aiohttp.ClientError,)

Item = TypeVar("Item")
Refuse = Callable[[Any, int, Mapping[str, str]], Failure]


def interpret(error: Exception, provider: str) -> Failure:
    """Name the trouble of aiohttp. What has no name is REJECTED: nothing unknown is retried."""
    return (
        broken(provider, error)
        if isinstance(error, aiohttp.ClientConnectionError | aiohttp.ClientPayloadError)
        else _other(error, provider)
    )


def _other(error: Exception, provider: str) -> Failure:
    unsent = (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError, aiohttp.ClientHttpProxyError)
    return broken(provider, error) if isinstance(error, unsent) else given_up(provider, error)


@dataclass(frozen=True, slots=True)
class HttpCall:
    """Posts to one provider. `refuse` names an error reply from its body (None when that is no JSON), status and headers."""

    provider: str
    session: Session
    headers: Mapping[str, str]
    refuse: Refuse

    async def ask(self, url: str, body: Mapping[str, Any], headers: Mapping[str, str]) -> dict[str, Any] | Failed:
        """The reply's object. Raises what aiohttp raises, and ProviderContractError when the reply is none."""
        async with self.session.post(url, body=orjson.dumps(body), headers={**self.headers, **headers}) as response:
            reply = await read(response)
            return parse(reply) if response.status == 200 else self._refused(response, reply)

    async def run(
        self, call: ProviderCall, make: exchange.Make, *, timeout_s: float, on_chunk: OnChunk | None
    ) -> Completion | Failed:
        """What `make` makes of the call by `ask` or `stream`: see `exchange.run`."""
        return await exchange.run(
            self.provider, call, make, timeout_s=timeout_s, on_chunk=on_chunk, errors=ERRORS, interpret=self._interpret
        )

    async def probe(self, url: str, *, timeout_s: float) -> RateLimits | Failure | None:
        """What a GET without billing tells: see `exchange.look`."""
        return await exchange.look(
            self.provider, lambda: self._look(url), timeout_s=timeout_s, errors=ERRORS, interpret=self._interpret
        )

    async def _look(self, url: str) -> Failure | None:
        """The trouble that a GET without billing meets; None when it is answered. Raises what aiohttp raises."""
        async with self.session.get(url, headers=self.headers) as response:
            reply = await read(response)
            if response.status != 200:
                return self._refused(response, reply).failure
            refuse_page(response.headers.get("content-type"))
            return None

    async def stream(
        self,
        url: str,
        body: Mapping[str, Any],
        headers: Mapping[str, str],
        decoder: Decoder[Item],
        fold: Fold[Item],
        *,
        on_chunk: OnChunk,
        started: float,
    ) -> Completion | Failed:
        """The answer that the reply's stream folds into. Raises what aiohttp raises before the stream begins."""
        async with self.session.post(url, body=orjson.dumps(body), headers={**self.headers, **headers}) as response:
            if response.status != 200:
                return self._refused(response, await read(response))
            refuse_page(response.headers.get("content-type"))
            return await fold_stream(
                self.provider,
                pieces(response),
                decoder,
                fold,
                on_chunk=on_chunk,
                started=started,
                errors=ERRORS,
                interpret=self._interpret,
            )

    def _interpret(self, error: Exception) -> Failure:
        return interpret(error, self.provider)

    def _refused(self, response: aiohttp.ClientResponse, body: bytes) -> Failed:
        try:
            reply = orjson.loads(body)
        except orjson.JSONDecodeError:
            reply = None
        return Failed(self.refuse(reply, response.status, response.headers))
