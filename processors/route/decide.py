"""Choose the deployments for a request: those that can take it, best first.

Strategy, of every policy
1. The model narrows: a deployment's name names it alone, a model all that serve it, `auto` leaves all but those that the policy
   keeps back as fallbacks.
2. What cannot take the request is excluded, each with its reason: the policy's filters, the environment, the operation, tools,
   images, JSON, the context, the sender's allowed providers, the sender's and the policy's bound on cost. The input counts as
   what a call of that provider and model was seen to make of such an estimate, at most.
3. What is left is ordered: well before limited before half open before open; then the sender's order of providers; then by what
   the sender gives priority to: `cheap` by price, `fast` by measured latency; `balanced` leaves it to the policy: the highest sum
   of its scorers first; without scorers (`cheapest-healthy`) by price among those that mostly succeed. Then the name.
4. Behind them stand those for too long an input, then the policy's fallbacks. Where all are too small for the request, those for
   long inputs are its candidates.

An open circuit excludes nothing: when all are open, the request is ordered all the same, and waits for the first to return. No
filter asks for health, either: what is not called would never be seen to recover.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from processors.classify.calibration import bounded
from processors.classify.decide import Classified
from processors.health.fold import UNKNOWN
from processors.route.case import Case
from processors.route.catalogue import AUTO
from processors.route.contenders import Contender, View, contender
from processors.route.fit import Exclusion, Lack, output_bound, too_dear, unfit
from processors.route.order import ordered
from processors.route.plan import Chosen, Plan
from processors.route.refusal import Unroutable, excluded_score, unroutable
from schemas.deployments import Deployment
from schemas.routing import CachedAnswer, Candidate, CandidateUse, Fallback, Scored

MAX_CANDIDATES = 6
"""More than a request has attempts, as a rule; the same number again may stand behind them."""


@dataclass(frozen=True, slots=True)
class Routed:
    """The candidates, best first: at least one. `scores` tells of every deployment that the request's model names."""

    candidates: tuple[Candidate, ...]
    scores: tuple[Scored, ...] = ()
    hedge_after_ms: int | None = None
    fallback: Fallback | None = None


def decide(
    request: Classified, by: Plan, chosen: Chosen, view: View, *, now: datetime, similar: CachedAnswer | None = None
) -> Routed | Unroutable:
    """The deployments that can take the request, best first, or why there is none.

    `similar` is the answer to a similar question, for policies that fall back on one.
    """
    case = Case(request, by, chosen, view, now)
    model, kept_back = request.request.model, chosen.by.kept_back
    named = by.named.get(model, ())
    asked = [d for d in named if d.name not in kept_back] if model == AUTO and kept_back else named
    excluded: dict[str, Exclusion] = {}
    ranked, scores = ordered(case, _fitting(case, asked, excluded))
    best = ranked[:MAX_CANDIDATES]
    candidates = [_candidate(request, each, score) for each, score in best]
    if named and (by.longer or kept_back):
        candidates += _behind(case, candidates, excluded)
    if not candidates:
        return unroutable(request, by.deployments, named, excluded)
    told = {scored.deployment for scored in scores} if len(candidates) > len(best) else set()
    scores += [Scored(c.deployment) for c in candidates[len(best) :] if c.deployment not in told]
    scores += [excluded_score(name, exclusion) for name, exclusion in excluded.items()]
    hedge_after_ms = _hedge_after_ms(chosen, best, len(candidates))
    return Routed(tuple(candidates), tuple(scores), hedge_after_ms, _fallback(chosen, similar))


def _fitting(case: Case, deployments: Iterable[Deployment], excluded: dict[str, Exclusion]) -> list[Contender]:
    """Those that can take the request; why the others cannot is added to `excluded`."""
    request, by, chosen, view, now = case
    barred, health = chosen.by.barred, view.health
    allowed = _lower(request.request.preferences.max_cost_nanousd, chosen.by.policy.filters.max_cost_nanousd)
    fitting: list[Contender] = []
    for deployment in deployments:
        name = deployment.name
        factor = view.factors.get((deployment.provider, deployment.model))
        input_tokens = bounded(request.input_tokens_estimate, factor)
        reason = unfit(request, deployment, input_tokens) or barred.get(name)
        if reason is None:
            rates = by.prices.rates(provider=deployment.provider, model=deployment.model, deployment=name, at=now)
            reason = too_dear(request, deployment, rates, allowed, input_tokens)
            if reason is None:
                known = health.get(name, UNKNOWN)
                fitting.append(contender(request, deployment, known, rates, input_tokens=input_tokens, now=now))
                continue
        excluded[name] = reason
    return fitting


def _lower(one: int | None, other: int | None) -> int | None:
    if one is None or other is None:
        return one if other is None else other
    return min(one, other)


def _behind(case: Case, first: Sequence[Candidate], excluded: dict[str, Exclusion]) -> list[Candidate]:
    """Those for too long an input, then the fallbacks, in the operator's order, each once.

    Without any in front, those for long inputs take their place, if the length is what was in the way or there are no others.
    """
    by, policy = case.by, case.chosen.by
    taken = {candidate.deployment for candidate in first}

    def standing(deployments: Iterable[Deployment], use: CandidateUse) -> list[Candidate]:
        asked = [d for d in dict.fromkeys(deployments) if d.name not in taken and d.name not in excluded]
        fitting = _fitting(case, asked, excluded)
        taken.update(each.deployment.name for each in fitting)
        return [replace(_candidate(case.request, each, None), use=use) for each in fitting]

    stands_in = not first and (not excluded or any(exclusion.lack is Lack.CONTEXT for exclusion in excluded.values()))
    smaller = [name for name in by.longer if name in taken or name in excluded]
    context = [*policy.context, *(d for name in smaller for d in by.longer[name])]
    longer = standing(context, CandidateUse.ALWAYS if stands_in else CandidateUse.CONTEXT) if first or stands_in else []
    return (longer + standing(policy.fallbacks, CandidateUse.FALLBACK))[:MAX_CANDIDATES]


def _candidate(request: Classified, each: Contender, score: float | None) -> Candidate:
    deployment, rates, input_tokens = each.deployment, each.rates, each.input_tokens
    bound = output_bound(request, deployment, input_tokens)
    return Candidate(
        deployment=deployment.name,
        provider=deployment.provider,
        model=deployment.model,
        timeout_ms=int(deployment.timeout_s * 1000),
        output_tokens_bound=bound,
        cost_bound_nanousd=None if rates is None else rates.bound_nanousd(input_tokens, bound),
        context_tokens=deployment.context_tokens,
        score=score,
        input_tokens_bound=None if input_tokens == request.input_tokens_estimate else input_tokens,
    )


def _hedge_after_ms(chosen: Chosen, best: Sequence[tuple[Contender, float | None]], candidates: int) -> int | None:
    """When a second call goes out; None where there is nobody to send it to, or nothing is known of the first one's latencies."""
    hedge = chosen.by.policy.hedge
    if hedge is None or candidates < 2 or not best:
        return None
    after_ms = best[0][0].health.p95_ms if hedge == "p95" else hedge
    return None if after_ms is None else max(1, round(after_ms))


def _fallback(chosen: Chosen, similar: CachedAnswer | None) -> Fallback | None:
    fallbacks = chosen.by.policy.fallbacks
    cached = similar if fallbacks.similar else None
    return None if cached is None and fallbacks.text is None else Fallback(cached, fallbacks.text)
