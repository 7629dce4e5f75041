"""Role `intake`: ai.requests -> ai.requests.routed. What is decided here is decided in `processors`."""

import asyncio
import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import structlog

from processors.cache import answer as kept_answer
from processors.cache.key import reads_cache
from processors.cache.ttl import ttl_s
from processors.embedding import Embedder
from processors.route import decide as route
from processors.route.assemble import Terms, rejected, routed
from processors.route.contenders import View
from processors.route.plan import Plan, choose
from processors.route.refusal import Unroutable
from schemas.errors import RecordError
from schemas.outcomes import ErrorInfo, InferenceResponse
from schemas.policies import Routing
from schemas.routing import CachedAnswer, RequestRouted
from schemas.semantic import Comparison
from streams import clock, faults, metrics, topics
from streams.agents.arrivals import DEFECT, Arrivals, Known, Refused
from streams.agents.calibration import TokenCalibration
from streams.agents.health_view import HealthView
from streams.agents.known_first import known_first
from streams.agents.routing import load_gains, load_plan
from streams.agents.routing_in_force import RoutingInForce
from streams.agents.semantic import Beside, SemanticCache, open_semantic
from streams.catalogue import callable_deployments
from streams.dead_letters import dead_letter
from streams.embedding.wordllama import WordLlama
from streams.faust_host import Delivered, batches, host
from streams.newcomers import Newcomers
from streams.prices import load_prices
from streams.publisher import Outgoing
from streams.runtime import Runtime
from streams.stores.valkey_cache import AnswerCache, open_cache

log = structlog.get_logger(__name__)

NAME = "intake"
HEARD_WITHIN = timedelta(seconds=1)
"""In which what was ordered shows in the health of its deployment, where calls are short; counting on would count it twice."""


async def run(runtime: Runtime, stop: asyncio.Event, ready: Callable[[], None]) -> None:
    """Consume ai.requests until `stop`. Raises HostFailed when the agent failed, SettingsError for a setting that cannot work."""
    settings = runtime.settings
    deployments = callable_deployments(runtime.catalogue, settings, os.environ)
    embedder = WordLlama()
    prices = load_prices(settings, runtime.catalogue)

    def planned(routing: Routing) -> Plan:
        gains = load_gains(settings, routing, embedder.name)
        return load_plan(settings, replace(runtime.catalogue, routing=routing), deployments, prices, gains)

    plan = planned(runtime.catalogue.routing)
    async with (
        open_cache(settings, runtime.serde) as cache,
        TokenCalibration(runtime).following() as calibration,
        HealthView(runtime).following() as health,
        open_semantic(runtime, embedder, plan) as semantic,
    ):
        view = View(health.deployments, factors=calibration.factors)
        intake = Intake(runtime, cache, view, plan, embedder, semantic=semantic)
        app = host(
            settings.group(NAME),
            bootstrap_servers=runtime.bootstrap_servers,
            security=settings.kafka_security(),
            session_timeout_ms=settings.session_timeout_ms,
            drain_timeout_s=settings.drain_timeout_s,
        )

        @app.agent(topics.REQUESTS, name=NAME)
        async def intake_agent(stream: Any) -> None:
            if settings.schema_registry_url is None:
                await batches(stream, intake.handle, max_records=settings.intake_batch)
            else:
                newcomers = Newcomers(runtime.serde.catalogue, settings)
                await known_first(stream, intake.handle, newcomers, max_records=settings.intake_batch)

        await calibration.looked()
        routing = RoutingInForce(runtime, lambda routing: intake.use(planned(routing)))
        async with routing.following(), app.running():
            ready()
            await stop.wait()
        log.info("cache_counts", **asdict(cache.counts))


@dataclass(frozen=True, slots=True)
class _Recalled:
    """By the cache key of who asks: kept answers that serve, those for when no provider answers, and what is to be compared."""

    answers: dict[str, CachedAnswer] = field(default_factory=dict)
    fallbacks: dict[str, CachedAnswer] = field(default_factory=dict)
    compare: dict[str, Comparison] = field(default_factory=dict)


class Intake:
    """Handles batches of requests. What `view` holds may change between batches, and so may the plan: see `use`."""

    def __init__(
        self,
        runtime: Runtime,
        cache: AnswerCache,
        view: View,
        plan: Plan,
        embedder: Embedder,
        *,
        semantic: SemanticCache | None = None,
    ) -> None:
        self._runtime = runtime
        self._semantic = semantic
        self._cache = cache
        self._ordered: Counter[str] = Counter()
        self._view = replace(view, ordered=self._ordered)
        self._plan = plan
        self._ordered_since = clock.now()
        self._models = {d.name: d.model for d in runtime.catalogue.deployments}
        self._arrivals = Arrivals(runtime, embedder)
        settings = runtime.settings
        self._terms = Terms(settings.request_timeout_s, settings.cache_ttl_s, runtime.catalogue.cache, settings.single_flight)
        self._routed = runtime.serde.of(RequestRouted)

    def use(self, plan: Plan) -> None:
        """Route by another plan from here on."""
        self._plan = plan
        if self._semantic is not None:
            self._semantic.use(plan)

    async def handle(self, batch: Sequence[Delivered]) -> None:
        """Returns when every record's outcome stands in the log; raises KafkaError when it cannot be written."""
        now = clock.now()
        if now - self._ordered_since > HEARD_WITHIN:
            self._ordered.clear()
            self._ordered_since = now
        read = self._arrivals.read(batch, now=now)
        recalled = await self._recall([item for item in read if isinstance(item, Known)], now)
        outgoing: list[Outgoing] = []
        refused: list[Refused] = []
        for item in read:
            outcome = self._route(item, recalled, now) if isinstance(item, Known) else item
            if isinstance(outcome, Refused):
                refused.append(outcome)
                outgoing += self._refuse(outcome, now)
                continue
            outgoing.append(outcome)
            if isinstance(item, Known) and (entry := self._remembered(item, recalled, now)) is not None:
                outgoing.append(entry)
        if refused:
            _tell(refused)
        faults.point("K1")
        await self._runtime.publisher.send_all(outgoing)

    async def _recall(self, known: Sequence[Known], now: datetime) -> _Recalled:
        """What is kept for the requests that may be answered from the cache, by cache key."""
        recalled = _Recalled()
        asking = {k.identity.cache_key: k for k in known if k.identity.cache_key and reads_cache(k.classified.request)}
        keys = [key for key in asking if key is not None]
        if not keys:
            return recalled
        for key, kept in zip(keys, await self._cache.look_up(keys), strict=True):
            if (answer := self._answer(kept, asking[key], key, now)) is not None:
                recalled.answers[key] = answer
        if self._semantic is not None:
            await self._recall_similar(self._semantic, {k: asking[k] for k in keys if k not in recalled.answers}, recalled, now)
        return recalled

    async def _recall_similar(
        self, semantic: SemanticCache, asking: Mapping[str, Known], recalled: _Recalled, now: datetime
    ) -> None:
        """Add what is kept of questions that ask much the same in other words, by the cache key of who asks."""
        wanted: dict[str, Beside] = {}
        for key, known in asking.items():
            if (beside := semantic.beside(known.classified, key)) is None:
                continue
            if beside.compare is not None:
                recalled.compare[key] = beside.compare
            if beside.serves or beside.falls_back:
                wanted[key] = beside
        if not wanted:
            return
        kept = await self._cache.look_up([beside.nearest.cache_key for beside in wanted.values()])
        for (key, beside), each in zip(wanted.items(), kept, strict=True):
            nearest = beside.nearest
            if (answer := self._answer(each, asking[key], nearest.cache_key, now)) is None:
                semantic.without_answer(nearest.cache_key)
                continue
            into = recalled.answers if beside.serves else recalled.fallbacks
            into[key] = replace(answer, similarity=nearest.similarity)

    def _answer(self, kept: InferenceResponse | None, known: Known, key: str, now: datetime) -> CachedAnswer | None:
        if kept is None:
            return None
        model = self._models.get(kept.deployment or "")
        return kept_answer.recall(kept, tenant=known.classified.request.tenant, cache_key=key, model=model, now=now)

    def _remembered(self, known: Known, recalled: _Recalled, now: datetime) -> Outgoing | None:
        """What lets other wordings meet the answer of a question that makes a call."""
        key = known.identity.cache_key
        if self._semantic is None or key is None or key in recalled.answers:
            return None
        classified, terms = known.classified, self._terms
        ttl = ttl_s(classified.request, classified.task_kind.value, terms.cache, default_s=terms.cache_ttl_s)
        return None if ttl is None else self._semantic.entry(classified, key, ttl, now)

    def _route(self, known: Known, recalled: _Recalled, now: datetime) -> Outgoing | Refused:
        key = known.identity.cache_key if reads_cache(known.classified.request) else None
        try:
            chosen = choose(self._plan, known.classified)
            decision: route.Routed | Unroutable | CachedAnswer
            if key is not None and key in recalled.answers:
                decision = recalled.answers[key]
            else:
                similar = None if key is None else recalled.fallbacks.get(key)
                decision = route.decide(known.classified, self._plan, chosen, self._view, now=now, similar=similar)
            record = routed(known.arrived, known.classified, known.identity, decision, self._terms, chosen=chosen, now=now)
            if record.candidates:
                self._ordered[record.candidates[0].deployment] += 1
                if key is not None and key in recalled.compare:
                    record = replace(record, compare=recalled.compare[key])
            outcome = "cached" if record.cached else "rejected" if record.rejection else "routed"
            metrics.ROUTED.labels(record.operation.value, record.task_kind, record.policy, outcome).inc()
            return self._runtime.to_lane(topics.ROUTED, record.lane, self._routed.encode(record))
        except RecordError as error:
            return known.refused(error.reason, str(error))
        except Exception as error:
            # As in Arrivals.read: one record must not stop all that follow it.
            log.exception("intake_defect", topic=known.record.topic, offset=known.record.offset)
            return known.refused(DEFECT, f"intake failed on it ({type(error).__name__})")

    def _refuse(self, refused: Refused, now: datetime) -> Iterable[Outgoing]:
        """The dead letter, and the error for the sender where its request_id can be read."""
        yield dead_letter(
            refused.record,
            self._runtime.serde,
            stage=NAME,
            reason=refused.reason,
            message=refused.message,
            now=now,
            request_id=refused.request_id,
            tenant=refused.tenant,
        )
        if refused.request_id is None:
            return
        rejection = rejected(
            refused.arrived,
            ErrorInfo(refused.reason, refused.message),
            self._terms,
            request_id=refused.request_id,
            tenant=refused.tenant,
            request=refused.request,
            now=now,
        )
        yield self._runtime.to_lane(topics.ROUTED, rejection.lane, self._routed.encode(rejection))


def _tell(refused: Sequence[Refused]) -> None:
    """One line a batch: a flood of bad input must not become a flood of logs."""
    first = refused[0].record
    log.warning(
        "requests_refused",
        count=len(refused),
        reasons=dict(Counter(item.reason for item in refused)),
        first=f"{first.topic}-{first.partition}@{first.offset}",
        next_step=f"the raw bytes stand in {topics.DEAD_LETTERS}; the producer must correct and send them again",
    )
