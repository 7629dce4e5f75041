"""What every call has in common: one deadline around it, and a name for whatever breaks it."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

from processors.providers import classification
from processors.providers.contract import Completion, Failed, OnChunk, ProviderCall
from processors.providers.failures import broken, malformed, timed_out, unsupported
from processors.providers.prompts import NotOffered, Unaskable
from processors.providers.sessions import Progress
from schemas.calls import Failure
from schemas.errors import ProviderContractError
from schemas.health import RateLimits
from schemas.requests import Operation

Interpret = Callable[[Exception], Failure]
Make = Callable[[ProviderCall, OnChunk | None], Awaitable[Completion | Failed]]

_STREAMED = frozenset({Operation.CHAT, Operation.TEXT_COMPLETION})


async def run(
    provider: str,
    call: ProviderCall,
    make: Make,
    *,
    timeout_s: float,
    on_chunk: OnChunk | None,
    errors: tuple[type[Exception], ...],
    interpret: Interpret,
) -> Completion | Failed:
    """Make the call with `make`, for at most `timeout_s`. `errors` are the library's own, which `interpret` names."""
    progress = Progress(call.on_connected)
    deadline = asyncio.timeout(timeout_s)
    try:
        async with deadline:
            outcome = await _ask(provider, call, make, on_chunk)
            return outcome if progress.limits is None else replace(outcome, limits=progress.limits)
    except errors as error:
        failure = interpret(error)
    except Unaskable as error:
        failure = unsupported(provider, str(error), offered=not isinstance(error, NotOffered))
    except ProviderContractError as error:
        failure = malformed(provider, error)
    except TimeoutError as error:
        expired = deadline.expired()
        failure = timed_out(provider, timeout_s, connected=progress.connected) if expired else broken(provider, error)
    return Failed(failure, limits=progress.limits)


async def look(
    provider: str,
    ask: Callable[[], Awaitable[Failure | None]],
    *,
    timeout_s: float,
    errors: tuple[type[Exception], ...],
    interpret: Interpret,
) -> RateLimits | Failure | None:
    """Ask with `ask`, for at most `timeout_s`: what `Adapter.probe` gives."""
    progress = Progress()
    deadline = asyncio.timeout(timeout_s)
    try:
        async with deadline:
            return await ask() or progress.limits
    except errors as error:
        return interpret(error)
    except ProviderContractError as error:
        return malformed(provider, error)
    except TimeoutError as error:
        return timed_out(provider, timeout_s, connected=progress.connected) if deadline.expired() else broken(provider, error)


async def _ask(provider: str, call: ProviderCall, make: Make, on_chunk: OnChunk | None) -> Completion | Failed:
    operation = call.order.operation
    if operation is not Operation.CLASSIFICATION:
        return await make(call, on_chunk if operation in _STREAMED else None)
    chat = replace(call, order=replace(call.order, operation=Operation.CHAT), request=classification.as_chat(call.request))
    return classification.settle(provider, await make(chat, None), call.request.labels)
