"""Listening ports that can be closed and opened again, so that connections to them are refused for a while."""

import asyncio
import logging
import os
from collections.abc import Mapping
from typing import Protocol

from aiohttp import web

from schemas.errors import SettingsError
from streams.simulator.transport import close

_BACKLOG = 1024
_LOOK_EVERY_S = 0.05
_log = logging.getLogger("penstock.simulator")


class Port:
    """One port and the connections that came through it."""

    def __init__(self, handler: web.Server, host: str, port: int) -> None:
        self._handler = handler
        self._host = host
        self.number = port
        self._server: asyncio.Server | None = None

    @property
    def listening(self) -> bool:
        return self._server is not None

    async def open(self) -> None:
        """Listen. Raises SettingsError when the port cannot be had."""
        if self._server is not None:
            return
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(self._handler, self._host, self.number, backlog=_BACKLOG)
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno else str(error)
            raise SettingsError(
                f"the simulator cannot listen on {self._host}:{self.number}: {reason}; choose another port, or 0 for a free one"
            ) from error
        self.number = self._server.sockets[0].getsockname()[1]

    def refuse(self) -> None:
        """Stop listening and reset the connections that there are."""
        if self._server is None:
            return
        self._server.close()
        self._server = None
        for connection in self._handler.connections:
            close(connection.transport, reset=True)

    async def close(self, *, grace_s: float) -> None:
        """Stop listening, and give the calls under way `grace_s` to end."""
        if self._server is not None:
            self._server.close()
            self._server = None
        await self._handler.shutdown(grace_s)


class Refusing(Protocol):
    def refuses(self, provider: str) -> bool:
        """Whether connections to the provider are to be refused now."""

    @property
    def ever_refuses(self) -> bool:
        """Whether connections to any provider are refused at any time."""


class Ports:
    """The ports that providers have to themselves."""

    def __init__(self) -> None:
        self.owned: Mapping[str, Port] = {}
        self._changing = asyncio.Lock()

    async def follow(self, simulator: Refusing) -> None:
        """Open and close the ports as the profiles now say. A port that cannot be opened again is logged, and tried next time."""
        async with self._changing:
            for provider, port in self.owned.items():
                if simulator.refuses(provider):
                    port.refuse()
                elif not port.listening:
                    try:
                        await port.open()
                    except SettingsError as error:
                        _log.warning("%s stays refused: %s", provider, error)

    async def keep_following(self, simulator: Refusing) -> None:
        """Follow the profiles' times until cancelled."""
        while True:
            await asyncio.sleep(_LOOK_EVERY_S)
            if simulator.ever_refuses or not all(port.listening for port in self.owned.values()):
                await self.follow(simulator)
