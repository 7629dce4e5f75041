"""Files as OpenAI's clients see them.

Source of the shapes: OpenAI's API reference, "Files"; `openai.types.FileObject` of its SDK.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from processors.api.bad_request import BadRequest
from schemas.files import StoredFile

MAX_FILE_BYTES = 200_000_000
KEPT_FOR = timedelta(days=30)
BATCH = "batch"
BATCH_OUTPUT = "batch_output"
_SHORTEST_S, _LONGEST_S = 3_600, int(KEPT_FOR.total_seconds())
_MAX_NAME_CHARS = 256


def file_object(file: StoredFile) -> dict[str, Any]:
    return {
        "id": file.file_id,
        "object": "file",
        "bytes": file.size_bytes,
        "created_at": int(file.created_at.timestamp()),
        "expires_at": int(file.expires_at.timestamp()),
        "filename": file.filename,
        "purpose": file.purpose,
        "status": "processed",
        "status_details": None,
    }


def purpose_of(fields: Mapping[str, str]) -> str:
    """The purpose of an upload. Raises BadRequest for one that nothing here reads."""
    if (purpose := fields.get("purpose")) is None:
        raise BadRequest("the field `purpose` is missing", "purpose")
    if purpose != BATCH:
        raise BadRequest(f"`purpose` must be {BATCH}: nothing else reads files here", "purpose")
    return purpose


def kept_for(fields: Mapping[str, str]) -> timedelta:
    """How long an upload is kept: as `expires_after` says, else 30 days. Raises BadRequest."""
    anchor, seconds = fields.get("expires_after[anchor]"), fields.get("expires_after[seconds]")
    if anchor is None and seconds is None:
        return KEPT_FOR
    number = int(seconds) if seconds is not None and seconds.isascii() and seconds.isdecimal() else None
    return timedelta(seconds=expiry_s({"anchor": anchor, "seconds": number}, "expires_after"))


def expiry_s(given: Mapping[str, Any], name: str) -> int:
    """The seconds of an expiration policy. Raises BadRequest."""
    seconds = given.get("seconds")
    whole = isinstance(seconds, int) and not isinstance(seconds, bool) and _SHORTEST_S <= seconds <= _LONGEST_S
    if given.get("anchor") != "created_at" or not whole:
        raise BadRequest(f"`{name}` must have `anchor`: created_at and `seconds` from {_SHORTEST_S} to {_LONGEST_S}", name)
    return int(given["seconds"])


def name_of(filename: str) -> str:
    r"""A file's name without the directories that some clients send.

    >>> name_of("C:\\jobs\\june.jsonl"), name_of("")
    ('june.jsonl', 'upload')
    """
    last = filename.replace("\\", "/").rpartition("/")[2]
    return "".join(letter for letter in last if letter.isprintable())[:_MAX_NAME_CHARS] or "upload"
