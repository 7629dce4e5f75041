"""Requests, deployments and plans for the tests of routing."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

from processors.classify import tokens
from processors.classify.complexity import Complexity
from processors.classify.decide import Classified, Needs
from processors.classify.kinds import TaskKind
from processors.cost.prices import PriceBook
from processors.route.catalogue import parse
from processors.route.contenders import View
from processors.route.decide import Routed, decide
from processors.route.plan import choose, plan
from processors.route.refusal import Unroutable
from schemas.deployments import Deployment, Price
from schemas.policies import Routing
from schemas.requests import InferenceRequest, Message, Operation, Preferences

NOW = datetime(2026, 6, 1, tzinfo=UTC)
REQUEST = InferenceRequest("r", "t", "auto", messages=(Message("user", "hi"),))
FILE = {
    "providers": {"me": {"kind": "openai", "address": "http://10.0.0.1:8000/v1"}},
    "deployments": [{"provider": "me", "model": "m"}],
}


def usd(amount: str, output: str | None = None) -> Price:
    return Price(Decimal(amount), Decimal(output or amount))


def deployment(name: str, provider: str = "p", usd_per_million: str | None = "1", **more: object) -> Deployment:
    price = None if usd_per_million is None else usd(usd_per_million)
    return Deployment(name, provider, more.pop("model", f"model-of-{name}"), price=price, **more)


def prefer(**preferences: object) -> InferenceRequest:
    return replace(REQUEST, preferences=Preferences(**preferences))


def classified(request: InferenceRequest = REQUEST, **changes: object) -> Classified:
    fields = {
        "operation": request.operation,
        "task_kind": TaskKind.OTHER,
        "complexity": Complexity.LOW,
        "input_tokens_estimate": tokens.of_request(request),
        "max_output_tokens": 0 if request.operation is Operation.EMBEDDINGS else request.sampling.max_output_tokens,
        "needs": Needs(),
    }
    return Classified(request, **(fields | changes))


def book(deployments) -> PriceBook:
    return PriceBook({d.name: d.price for d in deployments if d.price})


def routing(**section: object) -> Routing:
    """What an operator's section `routing` is read as."""
    return parse(FILE | {"routing": section}, source="x").routing


def route(request=REQUEST, deployments=(), health=None, *, by=None, environment=None, gains=None, ordered=None, similar=None):
    """The decision for a request, or for one that is classified, under a section `routing`."""
    asked = request if isinstance(request, Classified) else classified(request)
    planned = plan(by or Routing(), deployments, book(deployments), environment=environment, gains=gains)
    return decide(asked, planned, choose(planned, asked), View(health or {}, ordered or {}), now=NOW, similar=similar)


def names(outcome: Routed | Unroutable) -> list[str]:
    assert isinstance(outcome, Routed), outcome
    return [candidate.deployment for candidate in outcome.candidates]
