"""The simulator's shell: sockets, clocks and the call log around the pure exchange."""

import asyncio
import secrets
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field

from aiohttp import web

from schemas.errors import SettingsError
from streams.simulator import admin
from streams.simulator.call_log import ARRIVED, FINISHED, line_of
from streams.simulator.call_log_writer import CallLogWriter
from streams.simulator.endpoints import Endpoint, resolve
from streams.simulator.exchange import Exchange, exchange, free
from streams.simulator.faults import outage
from streams.simulator.ports import Ports
from streams.simulator.profiles import Profile, Profiles
from streams.simulator.reply import plain
from streams.simulator.stats import ProviderStats
from streams.simulator.tokens import Usage
from streams.simulator.transport import Progress, close, send

_NO_PATH = b'{"error":{"message":"The simulator has no such path.","type":"invalid_request_error","code":"unknown_url"}}'
_TOO_LARGE = b'{"error":{"message":"The request is too large.","type":"request_too_large","code":null}}'
_SURELY_WRITTEN_BYTES = 64 * 1024  # less than a socket takes in one write when nothing else waits in it


@dataclass(slots=True)
class _Call:
    """One call under way."""

    seq: int
    endpoint: Endpoint
    found: Exchange
    t_in: float
    call_id: str | None
    request_id: str | None
    progress: Progress = field(default_factory=Progress)


class Simulator:
    """Answers requests. `profiles` and `stats` are what `/_sim` shows."""

    def __init__(self, profiles: Profiles, log: CallLogWriter | None, ports: Ports, *, owners: frozenset[str]) -> None:
        self.profiles = profiles
        self.ports = ports
        self._owners = owners
        self.stats: defaultdict[str, ProviderStats] = defaultdict(ProviderStats)
        self._log = log
        self._run = secrets.token_hex(8)
        self._seq = 0
        self._in_flight = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._ordinals: Counter[str] = Counter()
        self._loop = asyncio.get_running_loop()
        self._started_s = self._loop.time()
        self._since_s: dict[str, float] = {}
        self._profile_of: dict[str, Profile] = {}
        self._check(profiles)

    def set_profiles(self, profiles: Profiles, *, changed: str) -> None:
        """Raises SettingsError when a provider is to be refused and has no port of its own."""
        self._check(profiles)
        self.profiles = profiles
        self._profile_of.clear()
        now_s = self._loop.time()
        for provider in {changed} if changed != "default" else set(self._ordinals) - profiles.providers.keys():
            self._ordinals[provider] = 0
            self._since_s[provider] = now_s
        if changed == "default":
            self._started_s = now_s

    def _check(self, profiles: Profiles) -> None:
        if profiles.default.ever_refuses:
            raise SettingsError("the default profile cannot refuse connections: name the provider that is to refuse them")
        for provider, profile in profiles.providers.items():
            if profile.ever_refuses and provider not in self._owners:
                raise SettingsError(
                    f"{provider!r} shares its port with the others, which would be refused with it; "
                    f"start the simulator with --provider-port {provider}=0 and call it there"
                )

    def profile(self, provider: str) -> Profile:
        found = self._profile_of.get(provider)
        if found is None:
            found = self._profile_of[provider] = self.profiles.of(provider)
            if len(self._profile_of) > 10_000:  # any path's first segment can be a provider
                self._profile_of.clear()
        return found

    def at_s(self, provider: str) -> float:
        """Seconds since the provider's profile was set."""
        return self._loop.time() - self._since_s.get(provider, self._started_s)

    def refuses(self, provider: str) -> bool:
        return self.profile(provider).refuses(self.at_s(provider))

    @property
    def ever_refuses(self) -> bool:
        return any(profile.ever_refuses for profile in self.profiles.providers.values())

    async def handle(self, owner: str | None, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request; `owner` is the provider whose port it came through."""
        t_in = time.time()
        path = request.path
        try:
            raw = await request.read()
        except web.HTTPRequestEntityTooLarge:
            return await send(request, plain(413, "application/json", _TOO_LARGE), Progress())
        if path.startswith(admin.PREFIX):
            reply = admin.administer(self, request.method, path, raw)
            await self.ports.follow(self)
            return await send(request, reply, Progress())
        endpoint = resolve(request.method, path, owner)
        if endpoint is None:
            return await send(request, plain(404, "application/json", _NO_PATH), Progress())
        if not endpoint.operation.billed:
            all_meet = outage(self.profile(endpoint.provider).faults, at_s=self.at_s(endpoint.provider))
            return await send(request, free(endpoint, raw, all_meet), Progress())
        return await self._call(request, endpoint, raw, t_in)

    async def _call(self, request: web.BaseRequest, endpoint: Endpoint, raw: bytes, t_in: float) -> web.StreamResponse:
        provider, headers = endpoint.provider, request.headers
        self._seq += 1
        self._ordinals[provider] += 1
        found = exchange(
            endpoint,
            headers,
            raw,
            profile=self.profile(provider),
            call=self._ordinals[provider],
            at_s=self.at_s(provider),
            now_s=t_in,
        )
        call_id, request_id = headers.get("x-penstock-call-id"), headers.get("x-penstock-request-id")
        call = _Call(self._seq, endpoint, found, t_in, call_id, request_id)
        self.stats[provider].arrived += 1
        self._in_flight += 1
        self._idle.clear()
        transport = request.transport
        logged = self._log.append_synced(self._line(ARRIVED, call, found.reply.usage)) if self._log else None
        try:
            if found.reply.parts and (delay_s := found.reply.parts[0].delay_s):
                await asyncio.sleep(delay_s)
            if logged is not None:
                await logged
            response = await send(request, found.reply, call.progress)
        except OSError:
            # The client has left, or the disk took no line: either way no byte may follow.
            self._finish(call, pending_bytes=0, whole=False)
            close(transport, reset=True)
            return web.Response(status=503)
        except asyncio.CancelledError:  # the client has left, or the simulator stops
            self._finish(call, pending_bytes=0, whole=False)
            raise
        self._loop.call_soon(self._settle, call, transport)
        return response

    def _settle(self, call: _Call, transport: asyncio.Transport | None) -> None:
        """Finish the call when the kernel has taken the last byte, or never will."""
        pending = transport.get_write_buffer_size() if transport is not None else 0
        closing = transport is None or transport.is_closing()
        if pending and not closing:
            self._loop.call_later(0.002, self._settle, call, transport)
            return
        small = call.progress.bytes_out <= _SURELY_WRITTEN_BYTES
        self._finish(call, pending_bytes=pending, whole=pending == 0 and (small or not closing))

    def _finish(self, call: _Call, *, pending_bytes: int, whole: bool) -> None:
        reply, progress = call.found.reply, call.progress
        usage = reply.billed(progress.output_tokens)
        completed = whole and reply.whole and progress.all_parts
        bytes_out = max(0, progress.bytes_out - pending_bytes)
        status = reply.status if progress.headers_sent else None
        self.stats[call.endpoint.provider].finish(
            completed=completed, usage=usage, bytes_out=bytes_out, status=status, fault=call.found.fault
        )
        self._in_flight -= 1
        if not self._in_flight:
            self._idle.set()
        if self._log is not None:
            line = self._line(FINISHED, call, usage, bytes_out=bytes_out, completed=completed, status=status)
            self._log.append(line)

    def _line(
        self,
        event: str,
        call: _Call,
        usage: Usage,
        *,
        bytes_out: int = 0,
        completed: bool = False,
        status: int | None = None,
    ) -> bytes:
        return line_of(
            event,
            run=self._run,
            seq=call.seq,
            call_id=call.call_id,
            request_id=call.request_id,
            provider=call.endpoint.provider,
            model=call.found.model,
            t_in=call.t_in,
            bytes_out=bytes_out,
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            completed=completed,
            status=call.found.reply.status if event == ARRIVED else status,
            fault=call.found.fault,
        )

    async def idle(self) -> None:
        """Returns when the last call has finished, its last byte taken or given up."""
        await self._idle.wait()
