"""Writes a reply, as slowly and as badly as it says."""

import asyncio
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass

from aiohttp import web

from streams.simulator.reply import Ending, Part, Reply

_APART_S = 0.005  # long enough that loopback delivers the pieces one by one
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER on, for 0 s: close() sends RST
_SLOW_STEP_S = 0.1


@dataclass(slots=True)
class Progress:
    """What has been handed to the network. It stays true when the write is cancelled half-way."""

    headers_sent: bool = False
    bytes_out: int = 0
    output_tokens: int = 0
    all_parts: bool = False


async def send(request: web.BaseRequest, reply: Reply, progress: Progress) -> web.StreamResponse:
    """Write the reply, all but the delay of its first part. Raises ConnectionError, or is cancelled, when the client leaves.

    A reply that is not streamed goes out in one write, headers and body together.
    """
    headers = {"Content-Type": reply.content_type, **dict(reply.headers)}
    if reply.ending is Ending.COMPLETE and not reply.streamed and reply.bytes_per_s is None and len(reply.parts) == 1:
        return await _at_once(request, reply, headers, progress)
    response = _opened(reply, headers)
    if reply.parts:
        await response.prepare(request)
    if reply.bytes_per_s is not None:
        await _drip(response, reply, progress, bytes_per_s=reply.bytes_per_s)
    else:
        await _in_parts(response, reply, progress)
    await _end(request, response, reply, progress)
    return response


async def _at_once(request: web.BaseRequest, reply: Reply, headers: Mapping[str, str], progress: Progress) -> web.StreamResponse:
    part = reply.parts[0]
    response = web.Response(status=reply.status, headers=headers, body=part.data)
    await response.prepare(request)
    await response.write_eof()
    progress.headers_sent = progress.all_parts = True
    progress.bytes_out, progress.output_tokens = len(part.data), part.output_tokens
    return response


def _opened(reply: Reply, headers: Mapping[str, str]) -> web.StreamResponse:
    response = web.StreamResponse(status=reply.status, headers=headers)
    if reply.streamed:
        response.enable_chunked_encoding()
    else:
        response.content_length = reply.declared_bytes or sum(len(part.data) for part in reply.parts)
    return response


async def _in_parts(response: web.StreamResponse, reply: Reply, progress: Progress) -> None:
    """Parts that no time separates go out in one write; the last ones leave with the end of the body, where it has one."""
    gathered: list[Part] = []
    for i, part in enumerate(reply.parts):
        if i and (part.delay_s or part.apart):
            await _write(response, gathered, progress)
            gathered = []
            await asyncio.sleep(part.delay_s or _APART_S)
        gathered.append(part)
    if reply.ending is not Ending.COMPLETE:
        await _write(response, gathered, progress)
        return
    data = b"".join(part.data for part in gathered)
    await response.write_eof(data)
    _count(progress, len(data), gathered)
    progress.all_parts = True


async def _write(response: web.StreamResponse, parts: list[Part], progress: Progress) -> None:
    data = b"".join(part.data for part in parts)
    if data:
        await response.write(data)
        _count(progress, len(data), parts)


def _count(progress: Progress, size: int, parts: list[Part]) -> None:
    progress.headers_sent = True
    progress.bytes_out += size
    progress.output_tokens += sum(part.output_tokens for part in parts)


async def _drip(response: web.StreamResponse, reply: Reply, progress: Progress, *, bytes_per_s: float) -> None:
    step_s = max(_SLOW_STEP_S, 1 / bytes_per_s)
    size = max(1, int(bytes_per_s * step_s))
    for part in reply.parts:
        for at in range(0, len(part.data), size):
            await response.write(part.data[at : at + size])
            _count(progress, len(part.data[at : at + size]), [])
            await asyncio.sleep(step_s)
        progress.output_tokens += part.output_tokens
    await response.write_eof()
    progress.all_parts = True


async def _end(request: web.BaseRequest, response: web.StreamResponse, reply: Reply, progress: Progress) -> None:
    if reply.ending is Ending.SILENCE:
        await asyncio.Event().wait()
    elif reply.ending is not Ending.COMPLETE:
        if response.prepared:
            await asyncio.sleep(_APART_S)  # the reset must not overtake what was written
        close(request.transport, reset=reply.ending is Ending.RESET)
        progress.all_parts = False


def close(transport: asyncio.Transport | None, *, reset: bool) -> None:
    """Close a connection in good order, or reset it."""
    if transport is None:
        return
    if reset:
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        transport.abort()
    else:
        transport.close()
