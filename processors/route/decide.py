"""Choose the deployments for a request: those that can take it, best first.

Strategy `cheapest-healthy`
1. The model narrows: a deployment's name names it alone, a model all that serve it, `auto` leaves all.
2. What cannot take the request is excluded, each with its reason: the operation, tools, images, JSON, the context, the
   sender's allowed providers, the sender's bound on cost.
3. What is left is ordered: well before limited before half open before open; then the sender's order of providers; then by
   the priority: `cheap` by price; `fast` by measured latency; `balanced` by price among those that mostly succeed. Then the name.

An open circuit excludes nothing: when all are open, the request is ordered all the same, and waits for the first to return.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from processors.classify.decide import Classified
from processors.cost.prices import PriceBook
from processors.cost.rates import TieredRates
from processors.health.fold import UNKNOWN, Circuit, DeploymentHealth
from processors.route.catalogue import AUTO
from schemas.deployments import Deployment
from schemas.requests import Preferences, SpeedPriority
from schemas.routing import Candidate

POLICY = "cheapest-healthy@1"
MAX_CANDIDATES = 6
"""More than a request has attempts."""
_EXPECTED_OUTPUT_TOKENS = 400
"""For comparing prices alone, where the request bounds nothing: an answer of ordinary length, the same for all deployments."""
_MOSTLY = 0.8
_NO_PRICE = 2**62

Rank = tuple[int, int, float, float, str]


class Lack(StrEnum):
    """What a deployment lacks for a request. The value is the kind of the error when that alone is in the way."""

    PERMISSION = "provider_not_available"
    ABILITY = "unsupported"
    CONTEXT = "context_too_long"
    PRICE = "over_max_cost"


@dataclass(frozen=True, slots=True)
class Exclusion:
    lack: Lack
    why: str


@dataclass(frozen=True, slots=True)
class Routed:
    """The candidates, best first: at least one, at most six."""

    candidates: tuple[Candidate, ...]
    policy: str = POLICY


@dataclass(frozen=True, slots=True)
class Unroutable:
    """No deployment can take the request. `excluded` says of each deployment why; `retryable`: it may be one later."""

    kind: str
    message: str
    excluded: Mapping[str, Exclusion]
    retryable: bool = False


def decide(
    request: Classified,
    deployments: Iterable[Deployment],
    health: Mapping[str, DeploymentHealth],
    prices: PriceBook,
    *,
    now: datetime,
) -> Routed | Unroutable:
    """The deployments that can take the request, best first, or why there is none."""
    every = tuple(deployments)
    named = _named(request.request.model, every)
    excluded: dict[str, Exclusion] = {}
    ranked: list[tuple[Rank, Candidate]] = []
    preferences = request.request.preferences
    expected_output = _EXPECTED_OUTPUT_TOKENS if request.max_output_tokens is None else request.max_output_tokens
    for deployment in named:
        if (reason := _unfit(request, deployment)) is not None:
            excluded[deployment.name] = reason
            continue
        rates = prices.rates(provider=deployment.provider, model=deployment.model, deployment=deployment.name, at=now)
        candidate = _candidate(request, deployment, rates)
        if (reason := _too_dear(preferences, candidate)) is not None:
            excluded[deployment.name] = reason
            continue
        # What the request would cost here if every deployment answered alike.
        cost = None if rates is None else rates.bound_nanousd(request.input_tokens_estimate, expected_output)
        ranked.append((_rank(preferences, deployment, health.get(deployment.name, UNKNOWN), cost, now), candidate))
    if not ranked:
        return _unroutable(request, every, named, excluded)
    ranked.sort(key=lambda pair: pair[0])
    return Routed(tuple(candidate for _, candidate in ranked[:MAX_CANDIDATES]))


def _named(model: str, deployments: tuple[Deployment, ...]) -> tuple[Deployment, ...]:
    if model == AUTO:
        return deployments
    by_name = tuple(d for d in deployments if d.name == model)
    return by_name or tuple(d for d in deployments if d.model == model)


def _unfit(request: Classified, deployment: Deployment) -> Exclusion | None:
    """Why the deployment cannot take the request, or None."""
    preferences, needs = request.request.preferences, request.needs
    if preferences.provider is not None and deployment.provider != preferences.provider:
        return Exclusion(Lack.PERMISSION, f"the request is pinned to {preferences.provider}")
    if preferences.providers and deployment.provider not in preferences.providers:
        return Exclusion(Lack.PERMISSION, f"{deployment.provider} is not among the providers that the request allows")
    if request.operation not in deployment.operations:
        return Exclusion(Lack.ABILITY, f"does not offer {request.operation.value}")
    for needed, offered, what in (
        (needs.tools, deployment.tools, "take tools"),
        (needs.vision, deployment.vision, "take images"),
        (needs.json_mode, deployment.json_mode, "answer in a JSON format"),
    ):
        if needed and not offered:
            return Exclusion(Lack.ABILITY, f"does not {what}")
    answer = 1 if request.max_output_tokens is None else min(request.max_output_tokens, deployment.max_output_tokens)
    wanted = request.input_tokens_estimate + answer
    if wanted > deployment.context_tokens:
        return Exclusion(
            Lack.CONTEXT, f"its context of {deployment.context_tokens} tokens is less than the {wanted} that the request takes"
        )
    return None


def _candidate(request: Classified, deployment: Deployment, rates: TieredRates | None) -> Candidate:
    output = deployment.max_output_tokens if request.max_output_tokens is None else request.max_output_tokens
    room = deployment.context_tokens - request.input_tokens_estimate
    output_bound = min(output, deployment.max_output_tokens, room)
    return Candidate(
        deployment=deployment.name,
        provider=deployment.provider,
        model=deployment.model,
        timeout_ms=int(deployment.timeout_s * 1000),
        output_tokens_bound=output_bound,
        cost_bound_nanousd=None if rates is None else rates.bound_nanousd(request.input_tokens_estimate, output_bound),
    )


def _too_dear(preferences: Preferences, candidate: Candidate) -> Exclusion | None:
    if (allowed := preferences.max_cost_nanousd) is None:
        return None
    if candidate.cost_bound_nanousd is None:
        return Exclusion(Lack.PRICE, "has no known price, and the request bounds its cost")
    if candidate.cost_bound_nanousd > allowed:
        return Exclusion(Lack.PRICE, f"can cost {candidate.cost_bound_nanousd} nano-dollars, {allowed} are allowed")
    return None


def _rank(preferences: Preferences, deployment: Deployment, health: DeploymentHealth, price: int | None, now: datetime) -> Rank:
    """Lower is better. The name comes last, so that replaying the topic routes alike."""
    place = preferences.providers.index(deployment.provider) if preferences.providers else 0
    cost = float(_NO_PRICE if price is None else price)
    match preferences.speed_priority:
        case SpeedPriority.FAST:
            first, second = (float("inf") if health.latency_ms is None else health.latency_ms), cost
        case SpeedPriority.BALANCED:
            first, second = float(health.success_rate < _MOSTLY), cost
        case SpeedPriority.CHEAP:
            first, second = cost, 0.0
    return _ailing(health, now), place, first, second, deployment.name


def _ailing(health: DeploymentHealth, now: datetime) -> int:
    match health.circuit(now):
        case Circuit.OPEN:
            return 3
        case Circuit.HALF_OPEN:
            return 2
        case Circuit.CLOSED:
            return 1 if health.limited(now) else 0


def _unroutable(
    request: Classified, every: tuple[Deployment, ...], named: tuple[Deployment, ...], excluded: Mapping[str, Exclusion]
) -> Unroutable:
    model = request.request.model
    if not every:
        message = "no deployment can be called; the operator sets a provider's key, or starts the simulator"
        return Unroutable("unroutable", message, excluded, retryable=True)
    if not named:
        known = sorted(d.name for d in every)
        more = f" and {len(known) - 10} more" if len(known) > 10 else ""
        return Unroutable(
            "unknown_model",
            f"no deployment has the name or the model {model!r}; ask for `{AUTO}`, or one of {', '.join(known[:10])}{more}",
            excluded,
        )
    # What the sender itself ruled out is told only when nothing else stood in the way.
    telling = {name: e for name, e in excluded.items() if e.lack is not Lack.PERMISSION} or excluded
    lacks = {exclusion.lack for exclusion in telling.values()}
    kind = lacks.pop().value if len(lacks) == 1 else "unroutable"
    reasons = "; ".join(f"{name}: {exclusion.why}" for name, exclusion in sorted(telling.items())[:10])
    return Unroutable(kind, f"no deployment can take this request: {reasons}", excluded)
