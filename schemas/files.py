"""Files that clients upload and batches write: FilePart."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class FilePart:
    """A piece of a file's bytes. The pieces of a file are numbered from 0 and stand in one partition; one may stand there twice.

    A file is there once its StoredFile is: pieces without one are what an upload that broke off has left.
    """

    file_id: str
    tenant: str
    number: int
    data: bytes


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A whole file: its `parts` hold `size_bytes` bytes."""

    file_id: str
    tenant: str
    filename: str
    purpose: str
    size_bytes: int
    parts: int
    created_at: datetime
    expires_at: datetime
