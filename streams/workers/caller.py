"""One order, from its delivery to the report of what became of it.

Rules
1. STARTED is acknowledged by the broker before the adapter is asked to call; without the acknowledgement no call is made.
2. An order whose deadline has passed is reported as expired, not called; one beyond the operator's limits as limited.
3. Every STARTED is followed by COMPLETED or FAILED, whatever the adapter does; the order is acknowledged after that.
4. A redelivered order is a new call under a new call_id: the ledger has a line for each.
"""

import asyncio
import time
import traceback
import uuid
from collections.abc import Callable
from datetime import datetime

import structlog
from aiokafka.errors import KafkaError

from processors.classify import tokens
from processors.providers.contract import Adapter, Chunk, Completion, Failed, ProviderCall
from schemas.calls import Billing, CallOrdered, Failure, FailureKind, Usage, UsageSource
from schemas.errors import RecordError
from schemas.outcomes import ResponseChunk
from schemas.requests import InferenceRequest
from streams import clock, faults, metrics
from streams.dead_letters import dead_letter
from streams.faust_host import Delivered
from streams.newcomers import Newcomers
from streams.runtime import Runtime
from streams.workers import reports
from streams.workers.admission import Limits
from streams.workers.chunks import ChunkSender
from streams.workers.gates import Gate, Gates
from streams.workers.reporter import Reporter

log = structlog.get_logger(__name__)

LAST_WORD_S = 2.0
"""How long a cancelled call may take to report so: what is not reported is charged as lost."""
_SENT_AFTER_S = 0.002


class Caller:
    """Makes the calls of one provider."""

    def __init__(
        self,
        runtime: Runtime,
        adapter: Adapter,
        gates: Gates,
        limits: Limits,
        *,
        worker: str,
        cancelled: Callable[[str, str], bool],
    ) -> None:
        """`cancelled` tells, of tenant and request id, whether the sender has cancelled a request."""
        self._runtime = runtime
        self._adapter = adapter
        self._gates = gates
        self._limits = limits
        self._worker = worker
        self._reporter = Reporter(runtime)
        self._orders = runtime.serde.of(CallOrdered)
        self._requests = runtime.serde.of(InferenceRequest)
        self._newcomers = Newcomers(runtime.serde.catalogue, runtime.settings)
        self._chunks = runtime.serde.of(ResponseChunk)
        self._is_cancelled = cancelled
        self._running: set[asyncio.Task[None]] = set()
        self._calling: dict[asyncio.Task[None], tuple[str, str]] = {}
        self._withdrawn: set[asyncio.Task[None]] = set()
        self._draining = False
        self._cancelling = False

    async def handle(self, record: Delivered) -> None:
        """Make the call of one order. Returns when the order may be acknowledged; raises CancelledError when it must not be."""
        await self._newcomers.meet([record.value])
        try:
            order = self._orders.decode(record.value)
            await self._newcomers.meet([order.request])
        except RecordError as error:
            await self._put_aside(record, error)
            return
        gate = self._gates.of(order.deployment)
        async with gate.passing():
            if self._draining:
                raise asyncio.CancelledError("the worker is stopping: the order stays in the log")
            task = asyncio.current_task()
            assert task is not None  # noqa: S101 - a coroutine always runs in a task
            self._running.add(task)
            try:
                with metrics.IN_FLIGHT.labels(order.deployment).track_inprogress():
                    await self._carry_out(order, record, gate, task)
            finally:
                self._running.discard(task)

    async def drain(self, timeout_s: float) -> int:
        """Start no more calls, give those in flight `timeout_s`, then cancel them. Returns how many were cancelled."""
        self._draining = True
        running = set(self._running)
        if not running:
            return 0
        _, late = await asyncio.wait(running, timeout=timeout_s)
        self._cancelling = True
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late, timeout=LAST_WORD_S + 1)
        return len(late)

    def cancel(self, tenant: str, request_id: str) -> None:
        """Cut off the calls under way for a request that its sender has cancelled; each is reported so."""
        for task in [task for task, key in self._calling.items() if key == (tenant, request_id)]:
            self._withdrawn.add(task)
            task.cancel()

    async def _carry_out(self, order: CallOrdered, record: Delivered, gate: Gate, task: "asyncio.Task[None]") -> None:
        faults.point("K5", order.request_id)
        now = clock.now()
        timeout_s = _time_left_s(order, now)
        request = self._requests_of(order)
        if timeout_s <= 0 or isinstance(request, Failed):
            await self._refuse(order, request if isinstance(request, Failed) else reports.expired(), now)
            return
        if (wait_s := await self._limits.take(order)) > 0:
            await self._refuse(order, reports.limited(order.deployment, wait_s), now)
            return
        if self._is_cancelled(order.tenant, order.request_id):
            await self._refuse(order, reports.withdrawn(), now)
            return
        call = reports.Started(order, str(uuid.uuid4()), self._worker, now, timeout_s)
        sender = ChunkSender(order, call.call_id, self._chunks, self._runtime.publisher) if order.stream else None
        attempt = _Attempt(call, request, sender)
        self._calling[task] = (order.tenant, order.request_id)
        try:
            await self._reporter.report(reports.started(call, grace_s=self._runtime.settings.lost_grace_s))
            faults.point("K6", call.call_id)
            outcome = await attempt.make(self._adapter)
            if isinstance(outcome, Completion):
                faults.point("K9", call.call_id)
            await self._report(attempt, outcome, gate)
            await self._limits.settle(order, outcome.usage)
        except asyncio.CancelledError:
            withdrawn = task in self._withdrawn
            if await self._last_word(attempt, gate, withdrawn=withdrawn):
                record.ack()
            if not (self._cancelling or withdrawn):
                raise
            return
        finally:
            del self._calling[task]
            self._withdrawn.discard(task)
        faults.point("K10", call.call_id)

    async def _refuse(self, order: CallOrdered, failed: Failed, now: datetime) -> None:
        """Report an order for which no call is started."""
        report = reports.refused(order, failed.failure, call_id=str(uuid.uuid4()), worker=self._worker, now=now)
        await self._reporter.report(report)

    async def _report(self, attempt: "_Attempt", outcome: Completion | Failed, gate: Gate) -> None:
        if attempt.sender is not None:
            attempt.sender.end(outcome)
        metrics.call_ended(attempt.call.order, outcome, latency_ms=attempt.latency_ms)
        await self._reporter.finish(
            attempt.call, outcome, in_flight=gate.in_flight, now=clock.now(), latency_ms=attempt.latency_ms
        )

    async def _last_word(self, attempt: "_Attempt", gate: Gate, *, withdrawn: bool) -> bool:
        """Report a call that was cut off, for as long as a stop can wait. False when it must count as lost."""
        outcome = attempt.outcome or (attempt.withdrawn() if withdrawn else reports.cancelled(connected=attempt.connected))
        try:
            async with asyncio.timeout(LAST_WORD_S):
                await self._report(attempt, outcome, gate)
        except (TimeoutError, KafkaError) as error:
            log.warning("call_not_reported", call_id=attempt.call.call_id, error=type(error).__name__)
            return False
        return True

    def _requests_of(self, order: CallOrdered) -> InferenceRequest | Failed:
        try:
            return self._requests.decode(order.request)
        except RecordError as error:
            failure = Failure(
                FailureKind.REJECTED, f"the request inside the order cannot be read: {error.reason}", Billing.NOT_BILLED
            )
            return Failed(failure)

    async def _put_aside(self, record: Delivered, error: RecordError) -> None:
        log.error("order_unreadable", topic=record.topic, partition=record.partition, offset=record.offset, reason=error.reason)
        letter = dead_letter(record, self._runtime.serde, stage="calls", reason=error.reason, message=str(error), now=clock.now())
        await self._runtime.publisher.send_all([letter])


class _Attempt:
    """One call of an adapter and how far it has come."""

    def __init__(self, call: reports.Started, request: InferenceRequest, sender: ChunkSender | None) -> None:
        self.call = call
        self.sender = sender
        self.connected = False
        self.outcome: Completion | Failed | None = None
        self.latency_ms = 0
        self._request = request
        self._received = 0
        self._usage: Usage | None = None

    async def make(self, adapter: Adapter) -> Completion | Failed:
        """What came of the call, named even when the adapter broke."""
        begun = time.perf_counter()
        try:
            self.outcome = await self._make(adapter)
        except faults.InjectedFault:
            raise
        except Exception as error:  # noqa: BLE001 - the call was started: the ledger must hear of it, and the others go on
            log.error("adapter_broke", call_id=self.call.call_id, error=type(error).__name__, at=_where(error))  # noqa: TRY400 - no text
            self.outcome = reports.unforeseen(error)
        finally:
            self.latency_ms = round((time.perf_counter() - begun) * 1000)
        return self.outcome

    async def _make(self, adapter: Adapter) -> Completion | Failed:
        # The broker's acknowledgement took its time, too.
        timeout_s = _time_left_s(self.call.order, clock.now())
        if timeout_s <= 0:
            return reports.expired()
        call = ProviderCall(self.call.call_id, self.call.order, self._request, on_connected=self._on_connected)
        on_chunk = None if self.sender is None else self._on_chunk
        return await adapter.complete(call, timeout_s=timeout_s, on_chunk=on_chunk)

    def withdrawn(self) -> Failed:
        """What it comes to when the sender cancels in the middle. A stream is charged by what has come of it."""
        if not self.connected:
            return reports.withdrawn()
        order, told = self.call.order, self._usage
        if self.sender is None or not (self._received or told):
            return reports.withdrawn(Billing.UNKNOWN)
        output = max(self._received, told.output_tokens if told else 0)
        usage = Usage(
            input_tokens=told.input_tokens if told else order.input_tokens_estimate,
            output_tokens=min(output, order.output_tokens_bound),
            cache_read_input_tokens=told.cache_read_input_tokens if told else 0,
            cache_write_input_tokens=told.cache_write_input_tokens if told else 0,
            source=UsageSource.ESTIMATED,
        )
        return reports.withdrawn(Billing.UNKNOWN, usage)

    def _on_connected(self) -> None:
        self.connected = True
        if faults.is_armed("K7"):
            asyncio.get_running_loop().call_later(_SENT_AFTER_S, faults.point, "K7", self.call.call_id)

    def _on_chunk(self, chunk: Chunk) -> None:
        faults.point("K8", self.call.call_id)
        self._received += tokens.of_text(chunk.content) + tokens.of_text(chunk.reasoning) + tokens.of_text(chunk.tool_calls_json)
        self._usage = chunk.usage or self._usage
        if self.sender is not None:
            self.sender.add(chunk)


def _where(error: BaseException) -> str:
    """File and line that raised. What it raised may quote the prompt, and is left out."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else "unknown"


def _time_left_s(order: CallOrdered, now: datetime) -> float:
    """How long the call may take: the order's own timeout, cut at the request's deadline. Zero or less when that has passed."""
    return min(order.timeout_ms / 1000, (order.deadline - now).total_seconds())
