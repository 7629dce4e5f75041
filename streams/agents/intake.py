"""Role `intake`: ai.requests -> ai.requests.routed. What is decided here is decided in `processors`."""

import asyncio
import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from typing import Any

import structlog

from processors.cache import answer as kept_answer
from processors.cache.key import reads_cache
from processors.cache.ttl import ttl_s
from processors.embedding import Embedder
from processors.health.fold import DeploymentHealth
from processors.route import decide as route
from processors.route.assemble import Terms, rejected, routed
from processors.route.contenders import View
from processors.route.plan import Plan, choose
from processors.route.refusal import Unroutable
from schemas.errors import RecordError
from schemas.outcomes import ErrorInfo, InferenceResponse
from schemas.routing import CachedAnswer, RequestRouted
from streams import clock, faults, metrics, topics
from streams.agents.arrivals import DEFECT, Arrivals, Known, Refused
from streams.agents.health_view import HealthView
from streams.agents.known_first import known_first
from streams.agents.routing import load_gains, load_plan
from streams.agents.semantic import SemanticCache, Similar, open_semantic
from streams.catalogue import callable_deployments, load_prices
from streams.dead_letters import dead_letter
from streams.embedding.wordllama import WordLlama
from streams.faust_host import Delivered, batches, host
from streams.publisher import Outgoing
from streams.registry import Newcomers
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
    prices, gains = load_prices(settings, runtime.catalogue), load_gains(settings, runtime.catalogue.routing, embedder.name)
    plan = load_plan(settings, runtime.catalogue, deployments, prices, gains)
    async with (
        open_cache(settings, runtime.serde) as cache,
        HealthView(runtime).following() as health,
        open_semantic(runtime, embedder) as semantic,
    ):
        intake = Intake(runtime, cache, health.deployments, plan, embedder, semantic=semantic)
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

        async with app.running():
            ready()
            await stop.wait()
        log.info("cache_counts", **asdict(cache.counts))


class Intake:
    """Handles batches of requests. `health` may change between batches; the plan stays."""

    def __init__(
        self,
        runtime: Runtime,
        cache: AnswerCache,
        health: Mapping[str, DeploymentHealth],
        plan: Plan,
        embedder: Embedder,
        *,
        semantic: SemanticCache | None = None,
    ) -> None:
        self._runtime = runtime
        self._semantic = semantic
        self._cache = cache
        self._health = health
        self._plan = plan
        self._ordered: Counter[str] = Counter()
        self._ordered_since = clock.now()
        self._models = {d.name: d.model for d in runtime.catalogue.deployments}
        self._arrivals = Arrivals(runtime, embedder)
        settings = runtime.settings
        self._terms = Terms(settings.request_timeout_s, settings.cache_ttl_s, runtime.catalogue.cache, settings.single_flight)
        self._routed = runtime.serde.of(RequestRouted)

    async def handle(self, batch: Sequence[Delivered]) -> None:
        """Returns when every record's outcome stands in the log; raises KafkaError when it cannot be written."""
        now = clock.now()
        if now - self._ordered_since > HEARD_WITHIN:
            self._ordered.clear()
            self._ordered_since = now
        read = self._arrivals.read(batch, now=now)
        cached = await self._recall([item for item in read if isinstance(item, Known)], now)
        outgoing: list[Outgoing] = []
        refused: list[Refused] = []
        for item in read:
            outcome = self._route(item, cached, now) if isinstance(item, Known) else item
            if isinstance(outcome, Refused):
                refused.append(outcome)
                outgoing += self._refuse(outcome, now)
                continue
            outgoing.append(outcome)
            if isinstance(item, Known) and (entry := self._remembered(item, cached, now)) is not None:
                outgoing.append(entry)
        if refused:
            _tell(refused)
        faults.point("K1")
        await self._runtime.publisher.send_all(outgoing)

    async def _recall(self, known: Sequence[Known], now: datetime) -> dict[str, CachedAnswer]:
        """The cached answers by cache key, of the requests that may be answered so."""
        asking = {k.identity.cache_key: k for k in known if k.identity.cache_key and reads_cache(k.classified.request)}
        keys = [key for key in asking if key is not None]
        if not keys:
            return {}
        found: dict[str, CachedAnswer] = {}
        for key, kept in zip(keys, await self._cache.look_up(keys), strict=True):
            if (answer := self._answer(kept, asking[key], key, now)) is not None:
                found[key] = answer
        if self._semantic is not None:
            found |= await self._recall_similar(self._semantic, {k: asking[k] for k in keys if k not in found}, now)
        return found

    async def _recall_similar(
        self, semantic: SemanticCache, asking: Mapping[str, Known], now: datetime
    ) -> dict[str, CachedAnswer]:
        """The answers of questions that ask the same in other words, by the cache key of who asks."""
        similar: dict[str, Similar] = {}
        for key, known in asking.items():
            if (met := semantic.similar(known.classified, key)) is not None:
                similar[key] = met
        if not similar:
            return {}
        found: dict[str, CachedAnswer] = {}
        kept = await self._cache.look_up([met.cache_key for met in similar.values()])
        for (key, met), each in zip(similar.items(), kept, strict=True):
            if (answer := self._answer(each, asking[key], met.cache_key, now)) is not None:
                found[key] = replace(answer, similarity=met.similarity)
            else:
                semantic.without_answer(met.cache_key)
        return found

    def _answer(self, kept: InferenceResponse | None, known: Known, key: str, now: datetime) -> CachedAnswer | None:
        if kept is None:
            return None
        model = self._models.get(kept.deployment or "")
        return kept_answer.recall(kept, tenant=known.classified.request.tenant, cache_key=key, model=model, now=now)

    def _remembered(self, known: Known, cached: Mapping[str, CachedAnswer], now: datetime) -> Outgoing | None:
        """What lets other wordings meet the answer of a question that makes a call."""
        key = known.identity.cache_key
        if self._semantic is None or key is None or key in cached:
            return None
        classified, terms = known.classified, self._terms
        ttl = ttl_s(classified.request, classified.task_kind.value, terms.cache, default_s=terms.cache_ttl_s)
        return None if ttl is None else self._semantic.entry(classified, key, ttl, now)

    def _route(self, known: Known, cached: Mapping[str, CachedAnswer], now: datetime) -> Outgoing | Refused:
        request, key = known.classified.request, known.identity.cache_key
        try:
            chosen = choose(self._plan, known.classified)
            decision: route.Routed | Unroutable | CachedAnswer
            if key is not None and key in cached and reads_cache(request):
                decision = cached[key]
            else:
                decision = route.decide(known.classified, self._plan, chosen, View(self._health, self._ordered), now=now)
            record = routed(known.arrived, known.classified, known.identity, decision, self._terms, chosen=chosen, now=now)
            if record.candidates:
                self._ordered[record.candidates[0].deployment] += 1
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
