"""What a batch has come to: which lines stand in its files, its counts, and what has yet to be written."""

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Self

from processors.api.batch_output import Written
from schemas.batches import BatchState, BatchStatus

MAX_PART_BYTES = 512 * 1024


@dataclass(frozen=True, slots=True)
class Pieces:
    """The pieces of one file that come next: their first number, and their bytes."""

    first: int
    data: tuple[bytes, ...]


@dataclass(slots=True)
class Tally:
    """Each line is settled once. What `take` hands out is not held any longer, and must reach the log together with `state`."""

    state: BatchState
    _settled: bytearray
    _output: list[bytes] = field(default_factory=list)
    _errors: list[bytes] = field(default_factory=list)
    held_bytes: int = 0

    @classmethod
    def of(cls, state: BatchState) -> Self:
        """The tally that the state of a batch under way says."""
        return cls(state, bytearray(state.settled.ljust((state.total + 7) // 8, b"\0")))

    def settled(self, number: int) -> bool:
        """Whether the line stands in one of the files; no line beyond the last one is waited for."""
        index = number - 1
        return not 0 <= index < self.state.total or bool(self._settled[index // 8] & 1 << index % 8)

    def settle(self, number: int, written: Written) -> None:
        """Count a line, and hold what it comes to."""
        if self.settled(number):
            return
        index, state, usage = number - 1, self.state, written.usage
        self._settled[index // 8] |= 1 << index % 8
        (self._errors if written.error else self._output).append(written.text)
        self.held_bytes += len(written.text)
        self.state = replace(
            state,
            completed=state.completed + (not written.error),
            failed=state.failed + written.error,
            expired=state.expired + written.expired,
            input_tokens=state.input_tokens + (usage.input_tokens if usage else 0),
            cached_tokens=state.cached_tokens + (usage.cache_read_input_tokens if usage else 0),
            output_tokens=state.output_tokens + (usage.output_tokens if usage else 0),
            reasoning_tokens=state.reasoning_tokens + (usage.reasoning_tokens if usage else 0),
        )

    def published(self, number: int) -> None:
        """Note that a line was asked."""
        self.state = replace(self.state, published=max(self.state.published, number))

    def take(self, positions: tuple[int, ...]) -> tuple[Pieces, Pieces]:
        """The next pieces of the file of answers and of the file of errors; `state` counts them from now on."""
        output, errors = _pieces(self._output), _pieces(self._errors)
        before = self.state
        self.state = replace(
            before,
            output_parts=before.output_parts + len(output),
            output_bytes=before.output_bytes + sum(map(len, output)),
            error_parts=before.error_parts + len(errors),
            error_bytes=before.error_bytes + sum(map(len, errors)),
            settled=bytes(self._settled),
            positions=positions,
        )
        self._output, self._errors, self.held_bytes = [], [], 0
        return Pieces(before.output_parts, output), Pieces(before.error_parts, errors)


def ended(state: BatchState, status: BatchStatus, at: datetime, cancelling_at: datetime | None = None) -> BatchState:
    """The state of a batch that is over: without what only its carrying out needs, and without the files that have nothing."""
    return replace(
        state,
        status=status,
        ended_at=at,
        cancelling_at=cancelling_at,
        settled=b"",
        positions=(),
        output_file_id=state.output_file_id if state.output_parts else None,
        error_file_id=state.error_file_id if state.error_parts else None,
    )


def _pieces(lines: list[bytes]) -> tuple[bytes, ...]:
    whole = b"".join(lines)
    return tuple(whole[at : at + MAX_PART_BYTES] for at in range(0, len(whole), MAX_PART_BYTES))
