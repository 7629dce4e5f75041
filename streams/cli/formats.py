"""What `publish` reads: OpenAI batch lines, requests of ours, or plain text, one request a line.

Pure: text in, a request or BadRequest out. The first line that is not blank decides for the whole input: one that begins with `{`
means JSON lines (a batch line is known by its `body`), anything else means that every line is a prompt.

Ids are made so that the same file published again has the same ids, and is answered, and paid, once: a line without an id of
its own gets `<digest>-<line number>`, the digest being taken over the file and the options that shape its requests.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import BinaryIO

from processors.api.bad_request import BadRequest
from processors.api.openai_request import from_batch
from processors.api.request_line import from_request_line
from processors.classify.validate import problems
from schemas.requests import InferenceRequest, Message

MAX_LINE_BYTES = 4_000_000
_DIGEST_CHARS = 16


class Format(StrEnum):
    AUTO = "auto"
    JSON = "json"
    TEXT = "text"


@dataclass(frozen=True, slots=True)
class Defaults:
    """What lines leave out. `source` begins the ids of lines that have none."""

    source: str
    tenant: str
    model: str


@dataclass(frozen=True, slots=True)
class Parsed:
    """One line of the input that is not blank: its request, or why it has none."""

    number: int
    request: InferenceRequest | BadRequest


class Parser:
    """Takes the lines of one input in order; numbers count from 1 and include blank lines."""

    def __init__(self, form: Format, defaults: Defaults) -> None:
        self._form = form
        self._defaults = defaults
        self._number = 0

    def line(self, raw: bytes) -> Parsed | None:
        """The request of a line, None for a blank one."""
        self._number += 1
        if self._number == 1:
            raw = raw.removeprefix(b"\xef\xbb\xbf")
        if not raw.strip():
            return None
        if self._form is Format.AUTO:
            self._form = Format.JSON if raw.lstrip().startswith(b"{") else Format.TEXT
        try:
            return Parsed(self._number, _request(raw, self._number, self._form, self._defaults))
        except BadRequest as bad:
            return Parsed(self._number, bad)


def digest(file: BinaryIO, defaults: Iterable[str]) -> str:
    """The part of ids that stands for a file and the options its requests are made with."""
    found = hashlib.sha256("\0".join(defaults).encode())
    while block := file.read(1 << 20):
        found.update(block)
    return found.hexdigest()[:_DIGEST_CHARS]


def _request(raw: bytes, number: int, form: Format, defaults: Defaults) -> InferenceRequest:
    if len(raw) > MAX_LINE_BYTES:
        raise BadRequest(f"the line has {len(raw)} bytes, {MAX_LINE_BYTES} are allowed")
    try:
        text = raw.decode("utf-8").strip()
    except UnicodeDecodeError as error:
        raise BadRequest(f"byte {error.start + 1} of the line is not UTF-8") from None
    request_id = f"{defaults.source}-{number}"
    if form is Format.TEXT:
        message = Message("user", text)
        return InferenceRequest(request_id, defaults.tenant, defaults.model, messages=(message,))
    try:
        line = json.loads(text)
    except ValueError as error:
        why = error.msg if isinstance(error, json.JSONDecodeError) else type(error).__name__
        raise BadRequest(f"no JSON: {why}") from None
    except RecursionError:
        raise BadRequest("no JSON: nested too deeply") from None
    if not isinstance(line, dict):
        raise BadRequest("the line must be a JSON object")
    read = from_batch if "body" in line or "custom_id" in line else from_request_line
    request = read(line, request_id=request_id, tenant=defaults.tenant, model=defaults.model)
    if wrong := problems(request):
        raise BadRequest("; ".join(wrong))
    return request
