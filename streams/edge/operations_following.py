"""Followers that begin with the first question: what nobody asks about costs nothing."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any, Generic, Protocol, TypeVar

from processors.api.refusals import RETRY_AFTER_S, Refusal
from streams.edge.principal import Refused


class Follows(Protocol):
    """Follows topics in the background."""

    @property
    def caught_up(self) -> bool: ...

    def following(self) -> contextlib.AbstractAsyncContextManager[Any]: ...


F = TypeVar("F", bound=Follows)


class OnDemand(Generic[F]):
    """One follower, for as long as the process runs from the first question on."""

    def __init__(self, follower: F, what: str) -> None:
        self._follower = follower
        self._what = what
        self._turn = asyncio.Lock()
        self._begun = False
        self._following = contextlib.AsyncExitStack()

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator["OnDemand[F]"]:
        try:
            yield self
        finally:
            await self._following.aclose()

    async def get(self) -> F:
        """The follower, with all that stood in the log when it began. Raises Refused while it has not read that far."""
        async with self._turn:
            if not self._begun:
                await self._following.enter_async_context(self._follower.following())
                self._begun = True
        if not self._follower.caught_up:
            message = f"{self._what} are still being read from the log: try again"
            raise Refused(Refusal(503, "log_unavailable", message, retry_after_s=RETRY_AFTER_S))
        return self._follower
