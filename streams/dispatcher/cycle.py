"""Folds what has arrived, and what is due, into records ready for one transaction. No I/O."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import structlog
from aiokafka.structs import ConsumerRecord

from processors.cache.answer import may_store, recall
from processors.cost.prices import PriceBook
from processors.dispatch.answers import CANCELLED
from processors.dispatch.decide import decide, sweep_due
from processors.dispatch.decision import Emission
from processors.dispatch.events import Advised, Cancelled, Event, Reported, Routed, Sweep
from processors.dispatch.flights import size_of
from processors.dispatch.policy import DispatchPolicy
from processors.dispatch.state import Change, LaneState, PutPosition, PutTotal, request_key
from schemas.calls import CallOrdered, CallReported
from schemas.errors import MalformedRecord
from schemas.ledger import CostEvent, CostTotal
from schemas.outcomes import InferenceResponse
from schemas.routing import RequestRouted
from schemas.serde import Codec, Serde
from streams import topics
from streams.dead_letters import dead_letter
from streams.dispatcher.changelog import Changelog
from streams.dispatcher.timers import Timers
from streams.publisher import Outgoing
from streams.stores.recent import Recent

log = structlog.get_logger(__name__)
R = TypeVar("R")

_LOOK_EVERY = timedelta(seconds=1)

MAX_DUE = 2_000
"""Timers fired in one cycle at most, so that a great release does not make one giant transaction."""


@dataclass(slots=True)
class Folded:
    """What has been folded since the last transaction: what it changed (the positions in the inputs as well) and what it says."""

    events: int = 0
    changes: list[Change] = field(default_factory=list)
    records: list[Emission] = field(default_factory=list)
    values: dict[str, tuple[RequestRouted, bytes]] = field(default_factory=dict)
    dead_letters: list[Outgoing] = field(default_factory=list)

    @property
    def speaks(self) -> bool:
        """Whether somebody waits for it: a change of state alone (a call has started) can go with the next transaction."""
        return bool(self.records or self.dead_letters)

    @property
    def empty(self) -> bool:
        return not (self.changes or self.speaks)


@dataclass(frozen=True, slots=True)
class _Arrived:
    """An aiokafka record under the names that a dead letter asks for."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]]


class Cycle:
    """Folds events into one lane partition's state. The state has changed when `fold` returns: commit, or drop it."""

    def __init__(
        self,
        partition: int,
        state: LaneState,
        timers: Timers,
        *,
        serde: Serde,
        policy: DispatchPolicy,
        prices: PriceBook,
        landed: Recent[InferenceResponse] | None = None,
        cancelled: Callable[[str, str], bool] = lambda _tenant, _request_id: False,
    ) -> None:
        """`landed` keeps the answers of the last seconds, for identical requests that come before the cache has them.

        `cancelled` tells, of tenant and request id, whether a request was cancelled before it came here.
        """
        self._partition, self._state, self._timers = partition, state, timers
        self.providers: frozenset[str] = frozenset()
        """Providers that have a topic of orders."""
        self.providers_missed = False
        self._policy, self._prices = policy, prices
        self._serde, self._changelog = serde, Changelog(serde)
        self._routed, self._reported = serde.of(RequestRouted), serde.of(CallReported)
        self._orders, self._responses, self._costs = serde.of(CallOrdered), serde.of(InferenceResponse), serde.of(CostEvent)
        self._totals = serde.of(CostTotal)
        self._landed = landed
        self._cancelled = cancelled
        self._looked_at = datetime.min.replace(tzinfo=UTC)

    def fold(
        self,
        folded: Folded,
        routed: Sequence[ConsumerRecord],
        reported: Sequence[ConsumerRecord],
        *,
        now: datetime,
        due_until: datetime | None,
    ) -> None:
        """Reports first, for they free what requests wait for; then requests; then the timers due by `due_until`.

        What is remembered only to know a repetition is forgotten by that time as well.

        What is no record of ours is put aside as a dead letter. Raises UnknownSchema for one that a newer version may have
        written: the lane stops, and its offset is not passed.
        """
        for record in reported:
            if (report := self._read(record, self._reported, folded, now)) is not None:
                self._decide(Reported(report), folded, now)
        for record in routed:
            if (request := self._read(record, self._routed, folded, now)) is not None:
                self._admit(request, record.value, folded, now)
        if due_until is not None:
            for event in self._timers.due(due_until, MAX_DUE):
                self._decide(event, folded, now)
        if due_until is not None and sweep_due(self._state, now=due_until, policy=self._policy):
            self._decide(Sweep(MAX_DUE), folded, due_until)
        for records in (routed, reported):
            if records:
                read = PutPosition(records[-1].topic, records[-1].offset + 1)
                self._state.apply(read)
                folded.changes.append(read)

    def advise(self, folded: Folded, deployment: str, *, down: bool, now: datetime) -> None:
        """Fold what the whole fleet has found out about a deployment."""
        self._decide(Advised(deployment, down), folded, now)

    def cancel(self, folded: Folded, keys: Iterable[str], *, now: datetime) -> None:
        """Fold what senders no longer want, by request key; what is not open here is not touched."""
        for key in keys:
            if key in self._state.open:
                self._decide(Cancelled(key), folded, now)

    def sweep_due(self, now: datetime) -> bool:
        """Whether something may be forgotten; it is looked at once a second. What is unread may be about it: see `fold`."""
        if abs(now - self._looked_at) < _LOOK_EVERY:
            return False
        self._looked_at = now
        return sweep_due(self._state, now=now, policy=self._policy)

    def outgoing(self, folded: Folded) -> list[Outgoing]:
        """The records of one transaction: orders, responses, cost events, the last of each total, and the changelog."""
        out = [self._emit(record) for record in folded.records] + folded.dead_letters
        totals = {change.key: change.total for change in folded.changes if isinstance(change, PutTotal)}
        out += (Outgoing(topics.COST_TOTALS, key, self._totals.encode(total)) for key, total in totals.items())
        out += (
            Outgoing(topics.CHANGELOG, key, value, partition=self._partition)
            for key, value in self._changelog.encode(folded.changes, folded.values)
        )
        return out

    def _admit(self, request: RequestRouted, value: bytes, folded: Folded, now: datetime) -> None:
        reachable = self._reachable(request)
        if reachable is request:
            folded.values[request_key(request.tenant, request.request_id)] = (request, value)
        self._decide(Routed(self._wanted(self._answered(reachable, now)), value), folded, now)

    def _wanted(self, request: RequestRouted) -> RequestRouted:
        """The request, rejected if its sender has cancelled it on its way."""
        gone = request.rejection is None and self._cancelled(request.tenant, request.request_id)
        return replace(request, rejection=CANCELLED) if gone else request

    def _answered(self, request: RequestRouted, now: datetime) -> RequestRouted:
        """The request with the answer that an identical one was given a moment ago."""
        key = request.flight_key
        if self._landed is None or key is None or request.cached is not None or request.rejection is not None:
            return request
        if (kept := self._landed.get(request_key(request.tenant, key))) is None:
            return request
        model = next((c.model for c in request.candidates if c.deployment == kept.deployment), None)
        return replace(request, cached=recall(kept, tenant=request.tenant, cache_key=key, model=model, now=now))

    def _reachable(self, request: RequestRouted) -> RequestRouted:
        """The request without candidates that have no topic of orders: a catalogue that is ahead of `penstock init`."""
        reachable = tuple(c for c in request.candidates if c.provider in self.providers)
        if len(reachable) == len(request.candidates):
            return request
        missing = sorted({c.provider for c in request.candidates} - self.providers)
        topic = topics.calls(missing[0])
        log.error("no_topic_of_orders", providers=missing, topic=topic, next_step="run `penstock init` with the same catalogue")
        self.providers_missed = True
        return replace(request, candidates=reachable)

    def _read(self, record: ConsumerRecord, codec: Codec[R], folded: Folded, now: datetime) -> R | None:
        try:
            return codec.decode(record.value)
        except MalformedRecord as error:
            position = (record.topic, record.partition, record.offset)
            log.warning("record_put_aside", position=position, reason=error.reason)
            arrived = _Arrived(*position, record.timestamp, record.key, record.value, record.headers)
            letter = dead_letter(arrived, self._serde, stage="dispatch", reason=error.reason, message=str(error), now=now)
            folded.dead_letters.append(letter)
            return None

    def _decide(self, event: Event, folded: Folded, now: datetime) -> None:
        decision = decide(self._state, event, now=now, policy=self._policy, prices=self._prices)
        for change in decision.changes:
            self._state.apply(change)
        self._timers.set_all(decision.timers)
        folded.events += 1
        folded.changes += decision.changes
        folded.records += decision.records
        if self._landed is not None:
            for record in decision.records:
                if isinstance(record, InferenceResponse) and record.cache_key and record.output and may_store(record):
                    self._landed.put(request_key(record.tenant, record.cache_key), record, size_of(record.output))

    def _emit(self, record: Emission) -> Outgoing:
        if isinstance(record, CallOrdered):
            key = f"{record.request_id}/{record.attempt}"
            return Outgoing(topics.calls(record.provider), key, self._orders.encode(record))
        if isinstance(record, InferenceResponse):
            return Outgoing(topics.RESPONSES, record.request_id, self._responses.encode(record))
        return Outgoing(topics.COSTS, record.tenant, self._costs.encode(record))
