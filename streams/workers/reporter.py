"""Puts reports into the log, and does not rest before the broker has them."""

import asyncio
from dataclasses import replace
from datetime import datetime

import structlog
from aiokafka.errors import KafkaError, MessageSizeTooLargeError

from processors.providers.contract import Completion, Failed
from schemas.calls import CallReported
from schemas.errors import MalformedRecord
from schemas.health import HealthEvent
from streams import topics
from streams.publisher import Outgoing
from streams.runtime import Runtime
from streams.workers import reports

log = structlog.get_logger(__name__)

RETRY_S = 0.5
SURELY_FITS_BYTES = 500_000
"""Half of what a stock broker takes: what is smaller was not what the broker refused."""


class Reporter:
    """Reports of one worker process."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._reports = runtime.serde.of(CallReported)
        self._health = runtime.serde.of(HealthEvent)

    async def report(self, report: CallReported) -> None:
        """Returns when the broker has acknowledged the report. While it does not answer, this waits for it."""
        await self._send([self._placed(report)])

    async def finish(
        self, call: reports.Started, outcome: Completion | Failed, *, in_flight: int, now: datetime, latency_ms: int
    ) -> None:
        """Report what came of a started call, and its deployment's health beside it.

        An answer that does not fit into a record is reported as a failure, with its usage.
        """
        beside: list[Outgoing] = []
        if (event := reports.health(call, outcome, in_flight=in_flight, now=now, latency_ms=latency_ms)) is not None:
            beside = [Outgoing(topics.HEALTH, event.deployment, self._health.encode(event))]
        report = reports.finished(call, outcome, now=now, latency_ms=latency_ms)
        try:
            placed = self._placed(report)
        except MalformedRecord as error:
            placed = self._without_answer(call, report, outcome, error.reason)
        try:
            await self._send([placed, *beside])
        except MessageSizeTooLargeError:
            await self._send([self._without_answer(call, report, outcome, "the broker refuses it"), *beside])

    def _placed(self, report: CallReported) -> Outgoing:
        return self._runtime.to_lane(topics.ATTEMPTS, report.lane, self._reports.encode(report))

    def _without_answer(self, call: reports.Started, report: CallReported, outcome: Completion | Failed, why: str) -> Outgoing:
        failed = reports.too_large(outcome, why)
        log.warning("answer_too_large", call_id=call.call_id, request_id=call.order.request_id, reason=why)
        return self._placed(replace(reports.finished(call, failed, now=report.reported_at, latency_ms=report.latency_ms or 0)))

    async def _send(self, records: list[Outgoing]) -> None:
        """Raises MessageSizeTooLargeError when these records are too large, any other KafkaError that no waiting will mend."""
        while True:
            try:
                return await self._runtime.publisher.send_all(records)
            except MessageSizeTooLargeError:
                # The records of a flush fail together. The one that was too large gives way, and the others go again.
                if max(len(record.value or b"") for record in records) > SURELY_FITS_BYTES:
                    raise
            except KafkaError as error:
                if not error.retriable:
                    raise
                log.warning("report_not_acknowledged", error=type(error).__name__, retry_s=RETRY_S)
            await asyncio.sleep(RETRY_S)
