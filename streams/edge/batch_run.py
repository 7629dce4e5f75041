"""Carries out one batch: reads its lines, asks them, writes down what they come to. It goes on from wherever another has stopped.

1. The state of a batch and the pieces of its files are written in one transaction: a line that is settled stands in a file, once.
2. A line's request has the same id whoever asks it. The pipeline calls once for an id, so that asking again is harmless.
3. Nothing is asked before it is written down from where in ai.responses the answers are found, and before those that stand there
   already have been read.
4. A few lines are under way at once. What is wished and what is over (a cancel, the window) is looked at before each line.
5. A cancelled batch asks no more, cancels the lines under way, and waits for what becomes of them: its files say what the log
   says. Whoever had the batch before may have asked a few lines and died before writing so. They are the first ones without an
   answer, no more than are under way at once: these are cancelled too, and asked again, so that each has an answer to wait for.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

import structlog

from processors.api import batch_output as output
from processors.api.batch_lines import MAX_LINES, BadLine, Line, LineReader, Terms, line_id
from processors.api.batch_split import Splitter
from processors.api.batch_tally import Tally
from schemas.batches import BatchProblem, BatchState, BatchStatus
from schemas.cancellation import CancelRequested
from schemas.errors import MalformedRecord
from schemas.outcomes import InferenceResponse
from schemas.requests import InferenceRequest
from streams import clock, topics
from streams.cancellations import cancellation
from streams.edge.batch_writing import BatchWriter, Ledger
from streams.edge.files_log import FileIncomplete, FileLog
from streams.ids import new_id
from streams.publisher import Outgoing
from streams.runtime import Runtime

log = structlog.get_logger(__name__)

EXPIRED_WITHIN = timedelta(seconds=30)
"""How long after its window a batch waits for what the pipeline says of the lines under way."""
_LOOK_EVERY_S = 1.0
_TURN = 32
_MOST_PROBLEMS = 50
_INTERNAL = BatchProblem("internal_error", "the batch met a defect of the edge, whose log says more under the batch's id")


class Answers(Protocol):
    """What a batch asks of `BatchAnswers`."""

    @property
    def positions(self) -> tuple[int, ...]: ...

    def following(
        self, batch_id: str, tenant: str, positions: tuple[int, ...], take: Callable[[int, InferenceResponse], None]
    ) -> AbstractAsyncContextManager[None]: ...


@dataclass(frozen=True, slots=True)
class Means:
    """What batches are carried out with."""

    runtime: Runtime
    files: FileLog
    answers: Answers


class BatchRun:
    """One batch, from wherever it is to its end. Raises what Kafka raises, and Refused when the log cannot be read."""

    def __init__(self, state: BatchState, means: Means, ledger: Ledger) -> None:
        self._state = state
        self._runtime, self._files, self._answers = means.runtime, means.files, means.answers
        self._writer = BatchWriter(state, means.runtime, means.files, ledger)
        self._requests = means.runtime.serde.of(InferenceRequest)
        self._cancellations = means.runtime.serde.of(CancelRequested)
        self._most = means.runtime.settings.batch_in_flight
        self._under_way: dict[int, Line] = {}
        self._early: dict[int, InferenceResponse] = {}
        self._asked = 0
        self._withdrawn: set[int] = set()
        self._news = asyncio.Event()
        self._cancelled_at: datetime | None = None

    def cancel(self, asked_at: datetime) -> None:
        """Ask no more lines, and cancel those under way."""
        self._cancelled_at = self._cancelled_at or asked_at
        self._news.set()

    async def run(self) -> None:
        state = self._state
        log.info("batch_taken_up", batch_id=state.batch_id, tenant=state.tenant, status=state.status.value)
        try:
            if state.status is BatchStatus.VALIDATING and not await self._is_valid():
                return
            await self._carry_out()
        except FileIncomplete as error:
            log.warning(
                "batch_input_incomplete", batch_id=state.batch_id, error=str(error), next_step="check ai.files' retention"
            )
            await self._fail([BatchProblem("invalid_file", "the log no longer has the input file: upload it again")])
        log.info("batch_ended", batch_id=state.batch_id, tenant=state.tenant, status=self._writer.state.status.value)

    async def give_up(self) -> None:
        """End a batch that a defect stops: another try would meet the same. What was answered is kept."""
        await self._fail([_INTERNAL])

    async def _is_valid(self) -> bool:
        """Look at all lines; end the batch if none can be asked, or if it is cancelled meanwhile."""
        problems: list[BatchProblem] = []
        total = good = 0
        async with aclosing(self._lines()) as lines:
            async for line in lines:
                total += 1
                if isinstance(line, Line):
                    good += 1
                elif len(problems) < _MOST_PROBLEMS:
                    problems.append(BatchProblem(line.code, line.message, line.param, line.place))
                if total > MAX_LINES or self._cancelled_at is not None:
                    break
        if self._cancelled_at is not None:
            await self._end(BatchStatus.CANCELLED)
        elif total > MAX_LINES:
            await self._fail([BatchProblem("too_many_requests", f"a batch may have {MAX_LINES:,} lines: split the file")])
        elif not total:
            await self._fail([BatchProblem("empty_file", "the file has no lines")])
        elif not good:
            await self._fail(problems)
        else:
            self._state = replace(self._state, total=total, output_file_id=new_id("file"), error_file_id=new_id("file"))
            return True
        return False

    async def _carry_out(self) -> None:
        state = self._state
        begins = state.status is BatchStatus.VALIDATING
        if begins:
            state = replace(state, status=BatchStatus.IN_PROGRESS, in_progress_at=clock.now())
        self._writer.tally = Tally.of(state)
        async with self._answers.following(state.batch_id, state.tenant, state.positions, self._take):
            if begins:
                await self._write()
            async for line in self._lines():
                if not self._tally.settled(line.number):
                    await self._settle_or_ask(line)
                if self._writer.is_full:
                    await self._write()
            while self._under_way and clock.now() < state.expires_at + EXPIRED_WITHIN:
                await self._withdraw()
                await self._wait()
        cancelled = self._cancelled_at is not None and self._tally.state.status is not BatchStatus.FINALIZING
        for asked in self._under_way.values():
            self._tally.settle(asked.number, output.cancelled(asked) if cancelled else output.expired(asked))
        await (self._end(BatchStatus.CANCELLED) if cancelled else self._finish())

    async def _settle_or_ask(self, line: Line | BadLine) -> None:
        if isinstance(line, BadLine):
            self._tally.settle(line.number, output.bad(line))
            return
        while self._may_ask and len(self._under_way) >= self._most:
            await self._wait()
        left_out = self._cancelled_at is not None and not self._may_be_asked(line.number)
        await self._withdraw(*(() if left_out else (line.number,)))
        if (response := self._early.pop(line.number, None)) is not None:
            self._answered(line, response)
        elif left_out:
            self._tally.settle(line.number, output.cancelled(line))
        elif self._expired:
            self._tally.settle(line.number, output.expired(line))
        else:
            await self._ask(line)

    def _may_be_asked(self, number: int) -> bool:
        """Whether a line without an answer, that this run has not asked, may have been asked by another."""
        inherited = self._state.status is not BatchStatus.VALIDATING and self._asked < self._most
        return number not in self._early and (inherited or number <= self._tally.state.published)

    async def _withdraw(self, *numbers: int) -> None:
        """Cancel these lines and those under way, each once, if the batch is; with how far it has come, in one transaction."""
        if (asked_at := self._cancelled_at) is None or not (new := {*numbers, *self._under_way} - self._withdrawn):
            return
        self._withdrawn |= new
        batch_id, tenant = self._state.batch_id, self._state.tenant
        await self._write(cancellation(self._cancellations, tenant, line_id(batch_id, n), asked_at) for n in sorted(new))

    async def _ask(self, line: Line) -> None:
        try:
            value = self._requests.encode(line.request)
        except MalformedRecord as error:
            self._tally.settle(line.number, output.failed(line, "request_too_large", str(error)))
            return
        self._under_way[line.number] = line
        self._asked += 1
        self._tally.published(line.number)
        await self._runtime.publisher.send_all([Outgoing(topics.REQUESTS, line.request.tenant, value)])

    def _take(self, number: int, response: InferenceResponse) -> None:
        """An answer that stands in the log, perhaps not for the first time, perhaps before its line was come to."""
        if self._tally.settled(number):
            return
        if (line := self._under_way.pop(number, None)) is None:
            self._early[number] = response
            return
        self._answered(line, response)
        self._news.set()

    def _answered(self, line: Line, response: InferenceResponse) -> None:
        written = output.answered(line, response, self._state.endpoint, batch_cancelled=self._cancelled_at is not None)
        self._tally.settle(line.number, written)

    async def _wait(self) -> None:
        """Until there is news, for a moment; write down what is due."""
        try:
            async with asyncio.timeout(_LOOK_EVERY_S):
                await self._news.wait()
        except TimeoutError:
            pass
        self._news.clear()
        if self._writer.is_due:
            await self._write()

    @property
    def _tally(self) -> Tally:
        return self._writer.tally

    @property
    def _may_ask(self) -> bool:
        return self._cancelled_at is None and not self._expired

    @property
    def _expired(self) -> bool:
        return clock.now() >= self._state.expires_at

    async def _finish(self) -> None:
        if self._tally.state.status is not BatchStatus.FINALIZING:
            self._tally.state = replace(self._tally.state, status=BatchStatus.FINALIZING, finalizing_at=clock.now())
            await self._write()
        await self._end(BatchStatus.EXPIRED if self._tally.state.expired else BatchStatus.COMPLETED)

    async def _end(self, status: BatchStatus) -> None:
        cancelled_at = self._cancelled_at if status is BatchStatus.CANCELLED else None
        await self._writer.end(status, self._answers.positions, cancelled_at)

    async def _fail(self, problems: list[BatchProblem]) -> None:
        self._tally.state = replace(self._tally.state, problems=tuple(problems))
        await self._end(BatchStatus.FAILED)

    async def _write(self, more: Iterable[Outgoing] = ()) -> None:
        # An answer whose line has not been come to is in no file: whoever goes on from here must meet it again.
        await self._writer.write(self._writer.state.positions if self._early else self._answers.positions, more)

    async def _lines(self) -> AsyncGenerator[Line | BadLine, None]:
        """All lines of the input that are not blank, in their order, in turns with whatever else this process does."""
        state = self._state
        reader = LineReader(Terms(state.batch_id, state.tenant, state.endpoint, state.expires_at))
        splitter = Splitter()
        async for data in self._files.pieces(state.tenant, state.input_file_id, state.input_parts):
            for raw in splitter.feed(data):
                if (line := reader.read(raw)) is not None:
                    yield line
                    if reader.count % _TURN == 0:
                        await asyncio.sleep(0)
        for raw in splitter.end():
            if (line := reader.read(raw)) is not None:
                yield line
