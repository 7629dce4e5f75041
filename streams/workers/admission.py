"""Who admits calls: the limits of the catalogue, or nobody where it sets none."""

from collections.abc import Callable, Sequence
from typing import Protocol

from schemas.calls import CallOrdered, Usage
from schemas.deployments import Deployment


class Limits(Protocol):
    """How many calls and tokens a minute a deployment may take."""

    async def take(self, order: CallOrdered) -> float:
        """0 when the call may be made now, and it counts; else the seconds after which it is worth trying again."""
        ...

    async def settle(self, order: CallOrdered, usage: Usage | None) -> None:
        """Count what the call has taken beyond what was expected."""
        ...

    async def close(self) -> None: ...


class Unlimited:
    """Admits every call."""

    async def take(self, order: CallOrdered) -> float:  # noqa: ARG002 - as of `Limits`
        return 0.0

    async def settle(self, order: CallOrdered, usage: Usage | None) -> None: ...

    async def close(self) -> None: ...


def limits_of(deployments: Sequence[Deployment], url: str | None, share: Callable[[], float]) -> Limits:
    """`share()` is this process's part of all orders, in (0, 1]; `url` None: there is no Valkey."""
    if all(d.requests_per_minute is None and d.tokens_per_minute is None for d in deployments):
        return Unlimited()
    from streams.workers.limits import CallLimits  # noqa: PLC0415 - it loads the client of Valkey: only where something is bounded

    return CallLimits(deployments, url, share)
