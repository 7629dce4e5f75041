"""Batches of requests, and the directory of the files that they read and write: BatchChanged."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from schemas.files import StoredFile


class BatchStatus(StrEnum):
    """How far a batch has come; OpenAI's words. `cancelling` is shown while it is wished for, and stands in no record."""

    UNKNOWN = "unknown"
    VALIDATING = "validating"
    FAILED = "failed"
    IN_PROGRESS = "in_progress"
    FINALIZING = "finalizing"
    COMPLETED = "completed"
    EXPIRED = "expired"
    CANCELLING = "cancelling"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        return self in {BatchStatus.FAILED, BatchStatus.COMPLETED, BatchStatus.EXPIRED, BatchStatus.CANCELLED}


@dataclass(frozen=True, slots=True)
class BatchProblem:
    """Why a batch failed before any of it was asked. `line` counts from 1."""

    code: str
    message: str
    param: str | None = None
    line: int | None = None


@dataclass(frozen=True, slots=True)
class BatchState:
    """One batch. What it has come to so far stands in the parts of its two files that are counted here.

    `settled` has a bit for each line that stands in one of them, the lowest of the first byte for the first line that is not
    blank. `positions` says, for each partition of ai.responses, up to where the answers are in it. `published` is the number
    of the last line that was asked, as far as it is known.
    """

    batch_id: str
    tenant: str
    endpoint: str
    input_file_id: str
    input_parts: int
    status: BatchStatus
    created_at: datetime
    expires_at: datetime
    in_progress_at: datetime | None = None
    finalizing_at: datetime | None = None
    ended_at: datetime | None = None
    cancelling_at: datetime | None = None
    output_file_id: str | None = None
    error_file_id: str | None = None
    output_expires_after_s: int | None = None
    total: int = 0
    completed: int = 0
    failed: int = 0
    expired: int = 0
    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    output_parts: int = 0
    output_bytes: int = 0
    error_parts: int = 0
    error_bytes: int = 0
    published: int = 0
    settled: bytes = b""
    positions: tuple[int, ...] = ()
    problems: tuple[BatchProblem, ...] = ()
    metadata: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BatchCancel:
    """Its sender wants no more of a batch asked."""

    batch_id: str
    tenant: str
    asked_at: datetime


@dataclass(frozen=True, slots=True)
class BatchChanged:
    """The latest of one batch, of the wish to cancel it, or of one file: exactly one field is set."""

    batch: BatchState | None = None
    cancel: BatchCancel | None = None
    file: StoredFile | None = None
