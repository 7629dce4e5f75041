"""Decides whether a URL may be called now, and at which addresses: its host is resolved here, and every address judged."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from processors.webhooks.addresses import forbidden, loopback
from processors.webhooks.target import Target, Unusable, target_of
from streams.settings import Settings

MOST_ADDRESSES = 16
_RESOLVED_WITHIN_S = 10.0
_THREADS = 128
"""A name server that does not answer holds a thread for seconds, and must hold up nobody else's names."""

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""Gives the addresses of a host. Raises OSError when it has none."""


@dataclass(frozen=True, slots=True)
class Allowed:
    """What may be called: the target, at these addresses and no others."""

    target: Target
    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Guard:
    """`forbidden` judges an address; of plain HTTP none but a loopback address is right."""

    ports: frozenset[int]
    insecure_local: bool
    resolve: Resolve
    forbidden: Callable[[str], str | None] = forbidden

    async def judge(self, url: str) -> Allowed | Unusable:
        """Whether the URL may be called. One address that may not be is enough: whoever sets names chooses which is taken."""
        target = target_of(url, ports=self.ports, insecure_local=self.insecure_local)
        if isinstance(target, Unusable):
            return target
        found = await self._addresses(target)
        if isinstance(found, Unusable):
            return found
        reason = self._wrong(target, found)
        return Allowed(target, found) if reason is None else Unusable(reason)

    async def _addresses(self, target: Target) -> tuple[str, ...] | Unusable:
        try:
            async with asyncio.timeout(_RESOLVED_WITHIN_S):
                found = tuple(dict.fromkeys(await self.resolve(target.host, target.port)))
        except TimeoutError:
            return Unusable("the URL's host could not be resolved in time")
        except (OSError, UnicodeError):
            return Unusable("the URL's host cannot be resolved")
        if not 0 < len(found) <= MOST_ADDRESSES:
            return Unusable(f"the URL's host must have 1 to {MOST_ADDRESSES} addresses")
        return found

    def _wrong(self, target: Target, addresses: tuple[str, ...]) -> str | None:
        if target.local:
            return None if all(map(loopback, addresses)) else "plain http is for loopback addresses alone: use https"
        kind = next(filter(None, map(self.forbidden, addresses)), None)
        return None if kind is None else f"the URL's host has an address that may not be called ({kind})"


class Resolver:
    """The system's resolver, in threads of its own. `close` it."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="webhook-names")

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(self._threads, _addresses, host, port)
        return [str(address[0]) for *_, address in found]

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)


def _addresses(
    host: str, port: int
) -> list[tuple[socket.AddressFamily, socket.SocketKind, int, str, tuple[str | int | bytes, ...]]]:
    return list(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))


def guard_of(settings: Settings, resolve: Resolve) -> Guard:
    """The guard that the settings ask for."""
    ports = frozenset(int(port) for port in settings.webhooks_ports.split(","))
    return Guard(ports, settings.webhooks_allow_insecure_local, resolve)
