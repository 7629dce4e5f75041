"""What one answered request of each kind leaves in the log, with a placeholder where its number belongs."""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from schemas.calls import Billing, CallOrdered, CallPhase, CallReported, Failure, FailureKind, Output, Usage, UsageSource
from schemas.ledger import CostEvent, CostKind, PricingStatus
from schemas.outcomes import CacheState, InferenceResponse, ResponseStatus
from schemas.requests import InferenceRequest, Message, Operation
from schemas.routing import CachedAnswer, Candidate, RequestRouted, Scored
from schemas.serde import Serde
from schemas.state import Awaited, DispatchChange, RequestPhase, RequestState
from streams import topics

DEPLOYMENTS = (("openai", "gpt-4o-mini"), ("openai", "gpt-4o"), ("anthropic", "claude-haiku-4-5"))
SHARES = {"answered": 70, "cached": 15, "retried": 8, "estimated": 4, "adjusted": 3}
"""Of 100 requests."""

NUMBER = "@" * 12
NAME = f"request-{NUMBER}"
PRICE_NANOUSD = 150
_QUESTION = "What does a penstock carry, and where to? " * 5
_ANSWER = "Water, from the gate to the turbine. " * 6
_USAGE, _BOUND = Usage(62, 48, cache_read_input_tokens=16), Usage(62, 1_024, source=UsageSource.ESTIMATED)


@dataclass(frozen=True, slots=True)
class Template:
    """One record of a kind of request, with NUMBER where the request's number belongs."""

    topic: str
    key: bytes
    value: bytes


@dataclass(slots=True)
class Story:
    """Everything that one request of a tenant leaves in the log, in the order of writing. All of it stands in one partition."""

    tenant: str
    at: datetime
    provider: str
    model: str
    serde: Serde
    templates: list[Template] = field(default_factory=list)
    costs: list[CostEvent] = field(default_factory=list)
    """Their ids are not those of any request."""

    calls: list[dict[str, Any]] = field(default_factory=list)

    @property
    def deployment(self) -> str:
        return f"{self.provider}/{self.model}"

    def add(self, topic: str, key: str, record: Any) -> None:
        self.templates.append(Template(topic, key.encode(), self.serde.encode(record)))

    def asked(self, cached: CachedAnswer | None = None) -> None:
        request = InferenceRequest(NAME, self.tenant, "auto", messages=(Message("user", _QUESTION),))
        self.add(topics.REQUESTS, self.tenant, request)
        candidates = tuple(Candidate(f"{p}/{m}", p, m, 60_000, 1_024, 9_000_000) for p, m in DEPLOYMENTS)
        scores = tuple(Scored(c.deployment, 0.7, {"price": 0.8, "latency": 0.6}) for c in candidates)
        routed = RequestRouted(
            request_id=NAME,
            tenant=self.tenant,
            lane=self.tenant,
            request=self.serde.encode(request),
            body_digest=b"d" * 32,
            request_model="auto",
            task_kind="chat",
            complexity="low",
            input_tokens_estimate=62,
            policy="composite@1-000000",
            received_at=self.at,
            routed_at=self.at,
            deadline=self.at + timedelta(minutes=10),
            operation=Operation.CHAT,
            candidates=() if cached else candidates,
            scores=() if cached else scores,
            cached=cached,
        )
        self.add(topics.ROUTED, self.tenant, routed)
        if cached is None:
            self._changed(RequestPhase.ORDERED, self.serde.encode(routed))

    def ordered(self, attempt: int) -> None:
        order = CallOrdered(
            request_id=NAME,
            attempt=attempt,
            tenant=self.tenant,
            lane=self.tenant,
            deployment=self.deployment,
            provider=self.provider,
            model=self.model,
            operation=Operation.CHAT,
            request=self.serde.encode(InferenceRequest(NAME, self.tenant, "auto", messages=(Message("user", _QUESTION),))),
            input_tokens_estimate=62,
            output_tokens_bound=1_024,
            stream=False,
            timeout_ms=60_000,
            ordered_at=self.at,
            deadline=self.at + timedelta(minutes=10),
        )
        self.add(topics.calls(self.provider), f"{NAME}/{attempt}", order)

    def called(self, attempt: int, *, usage: Usage | None = None, failure: Failure | None = None) -> None:
        """A call that began, and how it ended; with neither it was lost."""
        started = CallReported(
            call_id=_call(attempt),
            phase=CallPhase.STARTED,
            request_id=NAME,
            attempt=attempt,
            tenant=self.tenant,
            lane=self.tenant,
            deployment=self.deployment,
            provider=self.provider,
            model=self.model,
            worker="worker-1",
            reported_at=self.at,
            started_at=self.at,
            lost_at=self.at + timedelta(seconds=70),
            input_tokens_estimate=62,
            output_tokens_bound=1_024,
        )
        self.add(topics.ATTEMPTS, self.tenant, started)
        if usage is not None:
            done = replace(started, phase=CallPhase.COMPLETED, output=Output(_ANSWER, finish_reason="stop"), usage=usage)
            self.add(topics.ATTEMPTS, self.tenant, done)
        elif failure is not None:
            self.add(topics.ATTEMPTS, self.tenant, replace(started, phase=CallPhase.FAILED, failure=failure))
        billed = Usage(0, 0) if failure is not None else _USAGE
        self.calls.append(
            {
                "call_id": _call(attempt),
                "request_id": NAME,
                "provider": self.provider,
                "model": self.model,
                "t_in": self.at.timestamp(),
                "input_tokens": billed.input_tokens,
                "output_tokens": billed.output_tokens,
                "status": 429 if failure is not None else 200,
                "fault": None,
            }
        )

    def charged(self, attempt: int, usage: Usage | None, **more: Any) -> None:
        event = CostEvent(
            event_id=_call(attempt),
            kind=CostKind.CALL,
            request_id=NAME,
            tenant=self.tenant,
            lane=self.tenant,
            provider=self.provider,
            deployment=self.deployment,
            model=self.model,
            occurred_at=self.at,
            recorded_at=self.at,
            call_id=_call(attempt),
            attempt=attempt,
            operation=Operation.CHAT,
            usage=usage,
            cost_nanousd=0 if usage is None else PRICE_NANOUSD * (usage.input_tokens + usage.output_tokens),
            pricing_status=PricingStatus.NOT_BILLED if usage is None else PricingStatus.PRICED,
            price_version="prices-2026-01-31",
        )
        self.posted(replace(event, **more))

    def posted(self, event: CostEvent) -> None:
        self.costs.append(event)
        self.add(topics.COSTS, self.tenant, event)

    def finished(self, *, attempts: int, cache: CacheState = CacheState.NONE) -> None:
        hit = cache is CacheState.HIT
        answer = InferenceResponse(
            request_id=NAME,
            tenant=self.tenant,
            final=True,
            status=ResponseStatus.OK,
            request_model="auto",
            attempts=attempts,
            task_kind="chat",
            policy="composite@1-000000",
            received_at=self.at,
            answered_at=self.at + timedelta(seconds=1),
            operation=Operation.CHAT,
            output=Output(_ANSWER, finish_reason="stop"),
            usage=_USAGE,
            cost_nanousd=0 if hit else PRICE_NANOUSD * (_USAGE.input_tokens + _USAGE.output_tokens),
            provider=self.provider,
            deployment=self.deployment,
            call_id=None if hit else _call(attempts),
            cache=cache,
        )
        self.add(topics.RESPONSES, NAME, answer)
        self._changed(RequestPhase.FINISHED)

    def _changed(self, phase: RequestPhase, routed: bytes | None = None) -> None:
        finished = phase is RequestPhase.FINISHED
        state = RequestState(
            phase=phase,
            tenant=self.tenant,
            request_id=NAME,
            body_digest=b"d" * 32,
            attempt=1,
            candidate=0,
            sent=1,
            deadline=self.at + timedelta(minutes=10),
            routed=routed,
            status="ok" if finished else "",
            finished_at=self.at if finished else None,
            awaited=() if finished else (Awaited(1, 0),),
        )
        self.add(topics.CHANGELOG, f"request/{self.tenant}/{NAME}", DispatchChange(request=state))


def _call(attempt: int) -> str:
    return f"call-{attempt}-{NUMBER}"


def tell(story: Story, kind: str) -> Story:
    """The story of a request of this kind, from its publication to its answer."""
    if kind == "cached":
        output = Output(_ANSWER, finish_reason="stop")
        story.asked(CachedAnswer(output, story.provider, story.deployment, story.model, story.at, _USAGE, 16_500))
        hit = {"event_id": f"cache/{story.tenant}/{NAME}", "kind": CostKind.CACHE_HIT, "call_id": None, "avoided_nanousd": 16_500}
        story.charged(0, None, **hit)
        story.finished(attempts=0, cache=CacheState.HIT)
        return story
    story.asked()
    story.ordered(1)
    if kind == "retried":
        refused = Failure(FailureKind.RATE_LIMITED, "slow down", Billing.NOT_BILLED, http_status=429)
        story.called(1, failure=refused)
        story.charged(1, None)
    elif kind != "answered":
        story.called(1)
        story.charged(1, _BOUND, estimated=True, wasted=True)
    if kind == "adjusted":
        less = Usage(0, _USAGE.output_tokens - _BOUND.output_tokens)
        by = {"kind": CostKind.ADJUSTED, "event_id": f"{_call(1)}/adjusted/1", "replaces_estimate": True}
        story.charged(1, less, **by, cost_nanousd=PRICE_NANOUSD * less.output_tokens)
    attempts = 1 if kind == "answered" else 2
    if attempts > 1:
        story.ordered(attempts)
    story.called(attempts, usage=_USAGE)
    story.charged(attempts, _USAGE)
    story.finished(attempts=attempts)
    return story
