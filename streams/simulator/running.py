"""Start the simulator, and stop it."""

import asyncio
import signal
from collections.abc import Callable, Mapping
from functools import partial
from types import TracebackType

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http_parser import RawRequestMessage
from aiohttp.streams import StreamReader
from aiohttp.web_protocol import RequestHandler

from schemas.errors import SettingsError
from streams.simulator.call_log_writer import CallLogWriter
from streams.simulator.ports import Port, Ports
from streams.simulator.server import Simulator
from streams.simulator.settings import SimulatorSettings

_GRACE_S = 1.0


class Running:
    """A simulator that answers. `failed` ends when it must stop because its call log cannot be written."""

    def __init__(
        self,
        simulator: Simulator,
        shared: Port,
        log: CallLogWriter | None,
        *,
        host: str,
        follower: "asyncio.Task[None] | None",
    ) -> None:
        self.simulator = simulator
        self._shared = shared
        self._log = log
        self._host = host
        self._follower = follower
        self.failed = log.failed if log is not None else asyncio.get_running_loop().create_future()

    @property
    def port(self) -> int:
        return self._shared.number

    @property
    def url(self) -> str:
        return _url(self._host, self.port)

    @property
    def provider_ports(self) -> Mapping[str, int]:
        return {provider: port.number for provider, port in self.simulator.ports.owned.items()}

    def url_of(self, provider: str) -> str:
        """Where the provider's own paths begin: on its own port when it has one, else under `/<provider>`."""
        port = self.simulator.ports.owned.get(provider)
        return f"{self.url}/{provider}" if port is None else _url(self._host, port.number)

    async def close(self, *, grace_s: float = _GRACE_S) -> None:
        """Stop listening, give the calls under way `grace_s` to end, and close the call log."""
        if self._follower is not None:
            self._follower.cancel()
            await asyncio.gather(self._follower, return_exceptions=True)
        ports = (self._shared, *self.simulator.ports.owned.values())
        await asyncio.gather(*(port.close(grace_s=grace_s) for port in ports))
        await self.simulator.idle()
        if self._log is not None:
            await self._log.close()

    async def __aenter__(self) -> "Running":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()


def _url(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _port(simulator: Simulator, settings: SimulatorSettings, number: int, owner: str | None) -> Port:
    loop = asyncio.get_running_loop()

    def request_of(
        message: RawRequestMessage,
        payload: StreamReader,
        protocol: RequestHandler,
        writer: AbstractStreamWriter,
        task: "asyncio.Task[None]",
    ) -> web.BaseRequest:
        return web.BaseRequest(message, payload, protocol, writer, task, loop, client_max_size=settings.max_request_bytes)

    server = web.Server(partial(simulator.handle, owner), request_factory=request_of, handler_cancellation=True, access_log=None)
    return Port(server, settings.host, number)


async def serve(settings: SimulatorSettings) -> Running:
    """Start answering. Raises SettingsError when a port or the call log cannot be had, or a profile asks the impossible."""
    log = CallLogWriter(settings.call_log, fsync=settings.fsync) if settings.call_log is not None else None
    ports = Ports()
    opened: list[Port] = []
    try:
        simulator = Simulator(settings.profiles, log, ports, owners=frozenset(settings.provider_ports))
        owned = {name: _port(simulator, settings, number, name) for name, number in settings.provider_ports.items()}
        shared = _port(simulator, settings, settings.port, None)
        for port in (shared, *owned.values()):
            await port.open()
            opened.append(port)
    except SettingsError:
        for port in opened:
            await port.close(grace_s=0)
        if log is not None:
            await log.close()
        raise
    ports.owned = owned
    await ports.follow(simulator)
    follower = asyncio.create_task(ports.keep_following(simulator), name="simulator ports") if owned else None
    return Running(simulator, shared, log, host=settings.host, follower=follower)


async def run(settings: SimulatorSettings, *, ready: Callable[[Running], None]) -> int:
    """Serve until SIGTERM or SIGINT; the exit code: 0, or 1 when the call log could not be written any more.

    `ready` is called once, when connections are accepted.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    running = await serve(settings)
    running.failed.add_done_callback(lambda _: stop.set())
    ready(running)
    await stop.wait()
    await running.close()
    return 1 if running.failed.done() and not running.failed.cancelled() else 0
