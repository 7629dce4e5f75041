"""Reads a request's body within its bounds."""

from typing import Any

import orjson
from starlette.requests import Request

from processors.api.refusals import Refusal
from streams.edge.principal import Refused

MAX_BODY_BYTES = 4_000_000
"""Above the largest record, which says more exactly what is too large."""


async def read_bytes(http: Request, *, most: int = MAX_BODY_BYTES) -> bytes:
    """The body. Raises Refused, 413, as soon as it is longer than `most`."""
    announced = http.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > most:
        raise Refused(_too_large(most))
    parts, size = [], 0
    async for part in http.stream():
        size += len(part)
        if size > most:
            raise Refused(_too_large(most))
        parts.append(part)
    return b"".join(parts)


async def read_object(http: Request, *, most: int = MAX_BODY_BYTES) -> dict[str, Any]:
    """The JSON object of the body. Raises Refused."""
    try:
        value = orjson.loads(await read_bytes(http, most=most))
    except orjson.JSONDecodeError as error:
        raise Refused(Refusal(400, "invalid_json", f"the body is no JSON: {error.msg} at character {error.pos}")) from error
    if not isinstance(value, dict):
        raise Refused(Refusal(400, "invalid_json", "the body must be a JSON object"))
    return value


def _too_large(most: int) -> Refusal:
    return Refusal(
        413, "request_too_large", f"the body is longer than {most:,} bytes: send less, or an address instead of a file"
    )
