"""The lines of a batch's input file: each one a request, or why it is none.

Pure, and the same for the same file: a line that is read again after a crash makes the same request, with the same id.

Source of the shapes: OpenAI's API reference, "Batch", "The request input object".
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import orjson

from processors.api import fields
from processors.api.bad_request import BadRequest
from processors.api.openai_request import ENDPOINTS as SHAPES
from processors.api.openai_request import from_openai
from processors.api.responses_request import from_responses
from processors.classify.validate import problems
from schemas.requests import InferenceRequest, Operation

RESPONSES = "/v1/responses"
ENDPOINTS = (*SHAPES, RESPONSES)
MAX_LINES = 50_000
MAX_CUSTOM_ID_CHARS = 512
_DIGEST_BYTES = 12
_ECHOED_NOT = "input"


@dataclass(frozen=True, slots=True)
class Terms:
    """What all lines of a batch have in common."""

    batch_id: str
    tenant: str
    endpoint: str
    deadline: datetime


@dataclass(frozen=True, slots=True)
class Line:
    """A request. `number` counts lines that are not blank, from 1; `body` is what of the client's body its answer repeats."""

    number: int
    custom_id: str
    request: InferenceRequest
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that cannot be asked. `place` counts all lines, from 1."""

    number: int
    place: int
    custom_id: str | None
    code: str
    message: str
    param: str | None = None


class _Wrong(Exception):
    """Ends the reading of one line."""

    def __init__(self, code: str, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.param = param


class LineReader:
    """Takes all lines of a file in order. It remembers which custom_ids it has met, by a digest of each."""

    def __init__(self, terms: Terms) -> None:
        self._terms = terms
        self._met: set[bytes] = set()
        self._place = 0
        self.count = 0
        """Lines so far that are not blank."""

    def read(self, raw: bytes | None) -> Line | BadLine | None:
        """What a line holds; None for a blank one. `raw` is None for a line that was too long to keep."""
        self._place += 1
        if raw is not None and not raw.strip():
            return None
        self.count += 1
        custom_id: str | None = None
        try:
            given = _object(raw)
            custom_id = self._custom_id(given)
            return Line(self.count, custom_id, *self._request(given))
        except _Wrong as wrong:
            return BadLine(self.count, self._place, custom_id or _said_id(raw), wrong.code, str(wrong), wrong.param)

    def _custom_id(self, given: Mapping[str, Any]) -> str:
        custom_id = given.get("custom_id")
        if not isinstance(custom_id, str) or not 0 < len(custom_id) <= MAX_CUSTOM_ID_CHARS:
            message = f"`custom_id` must be a text of 1 to {MAX_CUSTOM_ID_CHARS} characters"
            raise _Wrong("missing_required_parameter", message, "custom_id")
        digest = hashlib.blake2b(custom_id.encode("utf-8", "surrogatepass"), digest_size=_DIGEST_BYTES).digest()
        if digest in self._met:
            raise _Wrong("duplicate_custom_id", "an earlier line has this `custom_id`", "custom_id")
        self._met.add(digest)
        return custom_id

    def _request(self, given: Mapping[str, Any]) -> tuple[InferenceRequest, Mapping[str, Any]]:
        terms, body = self._terms, given.get("body")
        if given.get("method") != "POST":
            raise _Wrong("invalid_method", "`method` must be POST", "method")
        if given.get("url") != terms.endpoint:
            raise _Wrong("mismatched_url", f"`url` must be {terms.endpoint}, the endpoint of the batch", "url")
        if not isinstance(body, dict):
            message = "`body` must be an object with the parameters of the request"
            raise _Wrong("missing_required_parameter", message, "body")
        if body.get("stream"):
            raise _Wrong("invalid_request", "the answers of a batch come whole: leave `stream` out", "body.stream")
        named: dict[str, Any] = {"request_id": line_id(terms.batch_id, self.count), "tenant": terms.tenant}
        try:
            request = from_responses(body, **named) if terms.endpoint == RESPONSES else from_openai(terms.endpoint, body, **named)
        except BadRequest as bad:
            raise _Wrong("invalid_request", str(bad), bad.parameter and f"body.{bad.parameter}") from bad
        if wrong := problems(request):
            raise _Wrong("invalid_request", "; ".join(wrong), "body")
        return replace(request, deadline=terms.deadline), _repeated(terms.endpoint, body, request)


def line_id(batch_id: str, number: int) -> str:
    """The id of a line's request: asked twice, it is one request.

    >>> line_id("batch_0a", 7), number_of("batch_0a-7")
    ('batch_0a-7', ('batch_0a', 7))
    """
    return f"{batch_id}-{number}"


def number_of(request_id: str) -> tuple[str, int] | None:
    """The batch and the line of a request; None for a request that is no batch's."""
    batch_id, found, number = request_id.rpartition("-")
    if not found or not batch_id.startswith("batch_") or not (number.isascii() and number.isdecimal()):
        return None
    return batch_id, int(number[:9])


def _object(raw: bytes | None) -> dict[str, Any]:
    if raw is None:
        raise _Wrong("line_too_long", "the line is too long for a request")
    try:
        given = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise _Wrong("invalid_json_line", f"the line is no JSON: {error.msg} at character {error.pos}") from error
    if not isinstance(given, dict):
        raise _Wrong("invalid_json_line", "the line must be a JSON object")
    return given


def _said_id(raw: bytes | None) -> str | None:
    """The custom_id of a line that something is wrong with, so that its sender finds it."""
    try:
        given = orjson.loads(raw or b"")
    except orjson.JSONDecodeError:
        return None
    said = given.get("custom_id") if isinstance(given, dict) else None
    return said[:MAX_CUSTOM_ID_CHARS] if isinstance(said, str) else None


def _repeated(endpoint: str, body: Mapping[str, Any], request: InferenceRequest) -> Mapping[str, Any]:
    if endpoint == RESPONSES:
        return {name: value for name, value in body.items() if name != _ECHOED_NOT} | {"metadata": request.metadata}
    return {"encoding_format": body.get("encoding_format")} if request.operation is Operation.EMBEDDINGS else {}


def metadata_of(value: Any) -> dict[str, str]:
    """A batch's metadata: at most 16 texts, as OpenAI bounds them. Raises BadRequest."""
    given = fields.an_object(value, "metadata")
    fits = all(isinstance(text, str) and len(text) <= 512 and len(name) <= 64 for name, text in given.items())
    if len(given) > 16 or not fits:
        raise BadRequest("`metadata` must have at most 16 texts of 512 characters, under names of 64", "metadata")
    return {str(name): str(text) for name, text in given.items()}
