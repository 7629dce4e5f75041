"""Reads a request's body within its bounds: so many bytes, in so much time."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import orjson
from starlette.requests import ClientDisconnect, Request

from processors.api.refusals import Refusal
from streams.edge.principal import Refused

MAX_BODY_BYTES = 4_000_000
"""Above the largest record, which says more exactly what is too large."""
BODY_WITHIN_S = 60.0
"""A body of the largest size comes in this time over half a megabit a second; one that drips holds a connection no longer."""


async def read_bytes(http: Request, *, most: int = MAX_BODY_BYTES, within_s: float = BODY_WITHIN_S) -> bytes:
    """The body. Raises Refused: 413 as soon as it is longer than `most`, 408 if it is not there in time, 499 if it ends early."""
    return b"".join([part async for part in parts(http, most=most, within_s=within_s)])


async def parts(http: Request, *, most: int, within_s: float) -> AsyncIterator[bytes]:
    """The body as it comes, for whoever keeps it elsewhere. The time counts what the reader takes for a part as well."""
    announced = http.headers.get("content-length", "")
    if announced.isascii() and announced.isdecimal() and int(announced[:20]) > most:
        raise Refused(_too_large(most))
    loop = asyncio.get_running_loop()
    until_s, size = loop.time() + within_s, 0
    stream = http.stream()
    while True:
        try:
            async with asyncio.timeout_at(until_s):
                part = await anext(stream, None)
        except TimeoutError:
            message = f"the body did not come within {within_s:g} seconds"
            raise Refused(Refusal(408, "body_too_slow", message)) from None
        except ClientDisconnect:
            raise Refused(Refusal(499, "client_gone", "the connection ended within the body")) from None
        if part is None:
            return
        size += len(part)
        if size > most:
            raise Refused(_too_large(most))
        yield part


async def read_object(http: Request, *, most: int = MAX_BODY_BYTES) -> dict[str, Any]:
    """The JSON object of the body. Raises Refused."""
    return _object(await read_bytes(http, most=most))


async def read_optional_object(http: Request, *, most: int = MAX_BODY_BYTES) -> dict[str, Any]:
    """As `read_object`; without a body an empty one."""
    body = await read_bytes(http, most=most)
    return _object(body) if body.strip() else {}


def _object(body: bytes) -> dict[str, Any]:
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Refused(Refusal(400, "invalid_json", f"the body is no JSON: {error.msg} at character {error.pos}")) from error
    if not isinstance(value, dict):
        raise Refused(Refusal(400, "invalid_json", "the body must be a JSON object"))
    return value


def _too_large(most: int) -> Refusal:
    return Refusal(
        413, "request_too_large", f"the body is longer than {most:,} bytes: send less, or an address instead of a file"
    )
