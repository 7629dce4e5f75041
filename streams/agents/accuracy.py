"""Says in the metrics how often the answers of each model were judged right within the last day: a follower of ai.feedback."""

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import structlog

from processors.health.accuracy import DAY, NOTHING, Hours, accuracy, answered_by, fold, verdict
from schemas.errors import RecordError
from schemas.feedback import FeedbackGiven
from schemas.ledger import CostEvent
from streams import clock, metrics, topics
from streams.follower import Follower
from streams.runtime import Runtime

log = structlog.get_logger(__name__)

_ANSWERS = 100_000
_WAITING = 10_000
_GATHER_MS = 1_000
_SHOWN_EVERY_S = 1.0

Request = int
"""The hash of a tenant and a request_id: of so many of them, the words themselves would take several times the room."""


class Accuracy:
    """A judgement that names no deployment is of whoever answered the request, as its line in the ledger says.

    The ledger is followed from the first such judgement on, a day back; those of an answer that it does not have, or that a
    hundred thousand others followed, are of no model and count for none. Memory is bounded, and a restart reads it all again.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._judgements, self._lines = runtime.serde.of(FeedbackGiven), runtime.serde.of(CostEvent)
        self._models = {d.name: d.model for d in runtime.catalogue.deployments}
        self._hours: dict[str, Hours] = {}
        self._answered: OrderedDict[Request, str] = OrderedDict()
        self._waiting: OrderedDict[Request, list[tuple[float, datetime]]] = OrderedDict()
        self._asked = asyncio.Event()
        day_s = DAY.total_seconds()
        self._feedback = Follower(
            runtime, "feedback", {topics.FEEDBACK: day_s}, self._judged, started_over=self._start_over, gather_ms=_GATHER_MS
        )
        self._ledger = Follower(
            runtime, "answers", {topics.COSTS: day_s}, self._charged, started_over=self._answered.clear, gather_ms=_GATHER_MS
        )
        self._shown: set[str] = set()

    @contextlib.asynccontextmanager
    async def following(self) -> AsyncIterator["Accuracy"]:
        """Follow and show in the background; what was shown is taken back at the end, as another process may know better then."""
        async with self._feedback.following(at_once=True):
            tasks = [asyncio.create_task(self._show_for_ever()), asyncio.create_task(self._follow_ledger())]
            try:
                yield self
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                self._show({})

    async def _follow_ledger(self) -> None:
        await self._asked.wait()
        async with self._ledger.following(at_once=True):
            await asyncio.Event().wait()

    async def _show_for_ever(self) -> None:
        await self._feedback.caught_up.wait()
        while True:
            now = clock.now()
            found = {model: accuracy(hours, now=now) for model, hours in self._hours.items()}
            self._show({model: share for model, share in found.items() if share is not None})
            await asyncio.sleep(_SHOWN_EVERY_S)

    def _show(self, shares: dict[str, float]) -> None:
        for model in self._shown - shares.keys():
            metrics.ACCURACY.remove(model)
        for model, share in shares.items():
            metrics.ACCURACY.labels(model).set(share)
        self._shown = set(shares)

    def _start_over(self) -> None:
        self._hours.clear()
        self._waiting.clear()

    def _judged(self, record: Any) -> None:
        try:
            feedback = self._judgements.decode(record.value)
        except RecordError as error:
            log.warning("record_unreadable", topic=record.topic, offset=record.offset, reason=error.reason)
            return
        if (score := verdict(feedback)) is None:
            return
        request = hash((feedback.tenant, feedback.request_id))
        if feedback.deployment is not None:
            model = self._models.get(feedback.deployment)
        elif (model := self._answered.get(request)) is None:
            _keep(self._waiting, request, [*self._waiting.get(request, ()), (score, feedback.given_at)], _WAITING)
            self._asked.set()
        if model is not None:
            self._count(model, score, feedback.given_at)

    def _charged(self, record: Any) -> None:
        try:
            line = self._lines.decode(record.value)
        except RecordError as error:
            log.warning("record_unreadable", topic=record.topic, offset=record.offset, reason=error.reason)
            return
        if (model := answered_by(line)) is None:
            return
        request = hash((line.tenant, line.request_id))
        _keep(self._answered, request, model, _ANSWERS)
        for score, at in self._waiting.pop(request, ()):
            self._count(model, score, at)

    def _count(self, model: str, score: float, at: datetime) -> None:
        self._hours[model] = fold(self._hours.get(model, NOTHING), score, at, now=clock.now())


def _keep(held: OrderedDict[Request, Any], request: Request, value: Any, most: int) -> None:
    """Hold the newest so many."""
    held[request] = value
    held.move_to_end(request)
    if len(held) > most:
        held.popitem(last=False)
