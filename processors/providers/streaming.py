"""Reads a streamed answer to its end, telling its pieces on the way."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from typing import Generic, Protocol, TypeVar

from processors.providers.contract import Chunk, Completion, Failed, OnChunk
from processors.providers.failures import malformed
from schemas.calls import Billing, Failure, Usage
from schemas.errors import ProviderContractError

DRAIN_S = 0.1
"""How long a stream that said its last word may take to close: then its connection is reused, else it is given up."""

_DOUBLED_PAIRS = 3

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


class Repeats:
    """Notices a stream in which each event with content came twice, byte for byte, as something on the way may have sent it.

    Most providers number no event. A model may well repeat itself, so only different pairs count, and nothing but pairs.
    """

    def __init__(self) -> None:
        self._alone: object = None
        self._pair: object = None
        self._pairs = 0
        self._other = False

    @property
    def doubled(self) -> bool:
        return not self._other and self._alone is None and self._pairs >= _DOUBLED_PAIRS

    def add(self, item: object) -> None:
        if self._other:
            return
        if self._alone is None:
            self._alone, self._other = item, item == self._pair
        elif item == self._alone:
            self._pair, self._alone, self._pairs = item, None, self._pairs + 1
        else:
            self._other = True


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
    teller = _Teller(fold, on_chunk, started)
    try:
        try:
            async for piece in pieces:
                teller.take(decoder.feed(piece))
                if fold.ended:
                    await _drain(pieces)
                    break
            else:
                teller.take(decoder.end())
        except errors as error:
            if not fold.whole:
                return _failed(interpret(error), fold.usage)
        return teller.result()
    except ProviderContractError as error:
        return _failed(malformed(provider, error), fold.usage)


class _Teller(Generic[Item]):
    """Hands items to the fold, its chunks to `on_chunk`, and has an eye on both."""

    def __init__(self, fold: Fold[Item], on_chunk: OnChunk, started: float) -> None:
        self._fold = fold
        self._on_chunk = on_chunk
        self._started = started
        self._repeats = Repeats()
        self._first_token_ms: int | None = None

    def take(self, items: Iterator[Item]) -> None:
        for item in items:
            if (chunk := self._fold.add(item)) is None:
                continue
            if chunk.content or chunk.reasoning or chunk.tool_calls_json:
                self._repeats.add(item)
                if self._first_token_ms is None:
                    self._first_token_ms = int((time.perf_counter() - self._started) * 1000)
            self._on_chunk(chunk)

    def result(self) -> Completion | Failed:
        """What came of the stream. Raises ProviderContractError when it makes no answer, or not one that can be trusted."""
        answer = self._fold.result()
        if isinstance(answer, Failed):
            return answer
        if self._repeats.doubled:
            raise ProviderContractError("every event with content came twice")
        return replace(answer, first_token_ms=self._first_token_ms)


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
