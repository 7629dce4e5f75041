"""Reads a streamed answer to its end, telling its pieces on the way."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from typing import Protocol, TypeVar

from processors.providers.contract import Chunk, Completion, Failed, OnChunk
from processors.providers.failures import malformed
from schemas.calls import Billing, Failure, Usage
from schemas.errors import ProviderContractError

DRAIN_S = 0.1
"""How long a stream that said its last word may take to close: then its connection is reused, else it is given up."""

Item = TypeVar("Item")
Item_co = TypeVar("Item_co", covariant=True)
Item_contra = TypeVar("Item_contra", contravariant=True)


class Decoder(Protocol[Item_co]):
    """Bytes into events or lines."""

    def feed(self, piece: bytes) -> Iterator[Item_co]: ...
    def end(self) -> Iterator[Item_co]: ...


class Fold(Protocol[Item_contra]):
    """Builds one answer from what its stream tells, in the words of one provider."""

    @property
    def ended(self) -> bool:
        """The stream said its last word."""
        ...

    @property
    def whole(self) -> bool:
        """Nothing of the answer is missing, whatever becomes of the rest of the stream."""
        ...

    @property
    def usage(self) -> Usage | None:
        """The usage of the whole call, once it was told."""
        ...

    def add(self, item: Item_contra) -> Chunk | None:
        """The chunk that the item tells, if any. Raises ProviderContractError when the item cannot be where it is."""
        ...

    def result(self) -> Completion | Failed:
        """What came of the stream. Raises ProviderContractError when it makes no answer."""
        ...


async def fold_stream(
    provider: str,
    pieces: AsyncIterator[bytes],
    decoder: Decoder[Item],
    fold: Fold[Item],
    *,
    on_chunk: OnChunk,
    started: float,
    errors: tuple[type[Exception], ...],
    interpret: Callable[[Exception], Failure],
) -> Completion | Failed:
    """The answer, with the milliseconds from `started` (time.perf_counter) to its first content.

    A stream that breaks after the whole answer is no failure. One that breaks earlier is, with the usage if it was told.
    """
    first_token_ms: int | None = None

    def tell(items: Iterator[Item]) -> None:
        nonlocal first_token_ms
        for item in items:
            if (chunk := fold.add(item)) is not None:
                if first_token_ms is None and (chunk.content or chunk.reasoning or chunk.tool_calls_json):
                    first_token_ms = int((time.perf_counter() - started) * 1000)
                on_chunk(chunk)

    try:
        try:
            async for piece in pieces:
                tell(decoder.feed(piece))
                if fold.ended:
                    await _drain(pieces)
                    break
            else:
                tell(decoder.end())
        except errors as error:
            if not fold.whole:
                return _failed(interpret(error), fold.usage)
        answer = fold.result()
    except ProviderContractError as error:
        return _failed(malformed(provider, error), fold.usage)
    return replace(answer, first_token_ms=first_token_ms) if isinstance(answer, Completion) else answer


async def _drain(pieces: AsyncIterator[bytes]) -> None:
    try:
        async with asyncio.timeout(DRAIN_S):
            async for _ in pieces:
                pass
    except TimeoutError:
        pass  # the caller closes the connection


def _failed(failure: Failure, usage: Usage | None) -> Failed:
    billing = failure.billing if usage is None else Billing.BILLED
    return Failed(replace(failure, billing=billing), usage)
