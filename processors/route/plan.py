"""What the operator wants, laid out for deciding: worked out once, when the deployments are known."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

from processors.classify.decide import Classified
from processors.cost.prices import PriceBook
from processors.route import selectors, spread
from processors.route.catalogue import AUTO
from processors.route.fit import Exclusion, Lack, elsewhere
from processors.route.gains import GainPredictor
from processors.route.scorers import SCORERS, MakeScoring, Setting
from schemas.deployments import Deployment
from schemas.policies import Experiment, Policy, Routing, RoutingRule, Scorer, Sticky


@dataclass(frozen=True, slots=True)
class PlannedPolicy:
    """A policy with its selectors resolved. `barred`: what it never chooses; `kept_back`: what it calls only when it must."""

    policy: Policy
    label: str
    scorers: tuple[tuple[str, float, MakeScoring], ...]
    barred: Mapping[str, Exclusion]
    kept_back: frozenset[str]
    fallbacks: tuple[Deployment, ...]
    context: tuple[Deployment, ...]


@dataclass(frozen=True, slots=True)
class PlannedExperiment:
    """`bounds` are the arms' shares of the interval from 0 to 1, added up."""

    arms: tuple[tuple[str, PlannedPolicy], ...]
    bounds: tuple[float, ...]
    salt: str
    sticky: Sticky


@dataclass(frozen=True, slots=True)
class Chosen:
    """The policy that a request is routed by, and the arm of an experiment that it is in."""

    by: PlannedPolicy
    arm: str | None = None

    @property
    def policy(self) -> str:
        return self.by.label


@dataclass(frozen=True, slots=True)
class Plan:
    """`named` has the deployments by what a request may call them: a deployment's name, a model, or `auto`."""

    named: Mapping[str, tuple[Deployment, ...]]
    longer: Mapping[str, tuple[Deployment, ...]]
    prices: PriceBook
    default: PlannedPolicy | PlannedExperiment
    rules: tuple[tuple[RoutingRule, PlannedPolicy | PlannedExperiment], ...]

    @property
    def deployments(self) -> tuple[Deployment, ...]:
        return self.named[AUTO]


def plan(
    routing: Routing,
    deployments: Sequence[Deployment],
    prices: PriceBook,
    *,
    environment: str | None = None,
    gains: GainPredictor | None = None,
) -> Plan:
    """The plan for these deployments. Raises SettingsError when a policy needs what is not set."""
    every = tuple(deployments)

    def planned(chosen: Policy | Experiment) -> PlannedPolicy | PlannedExperiment:
        if isinstance(chosen, Policy):
            return _planned(chosen, every, environment, gains)
        total = sum(arm.weight for arm in chosen.arms)
        return PlannedExperiment(
            arms=tuple((arm.name, _planned(arm.policy, every, environment, gains)) for arm in chosen.arms),
            bounds=tuple(accumulate(arm.weight / total for arm in chosen.arms)),
            salt=chosen.salt,
            sticky=chosen.sticky,
        )

    return Plan(
        named=_by_name(every),
        longer={d.name: found for d in every if (found := selectors.selected(d.context_fallbacks, every))},
        prices=prices,
        default=planned(routing.default),
        rules=tuple((rule, planned(rule.chosen)) for rule in routing.rules),
    )


def choose(by: Plan, request: Classified) -> Chosen:
    """The policy for a request, and its arm: always the same for the same request and definition."""
    chosen = next((planned for rule, planned in by.rules if _fits(rule, request)), by.default)
    if isinstance(chosen, PlannedPolicy):
        return Chosen(chosen)
    at = spread.uniform(f"{chosen.salt}/{spread.key_of(request.request, chosen.sticky)}")
    # The last bound may come out a little below 1.
    index = next((i for i, bound in enumerate(chosen.bounds) if at < bound), len(chosen.arms) - 1)
    name, policy = chosen.arms[index]
    return Chosen(policy, name)


def blind_selectors(routing: Routing, deployments: Sequence[Deployment]) -> dict[str, tuple[str, ...]]:
    """The selectors that name no deployment, by policy: mistyped, or of a provider that cannot be called from here.

    Those of the presets are left out: they name providers that not every operator has.
    """
    found: dict[str, tuple[str, ...]] = {}
    for policy in policies_of(routing):
        written = [*policy.filters.only, *policy.filters.without, *policy.fallbacks.models, *policy.fallbacks.context]
        written += [*policy.weak, *policy.strong, *(selector for selector, _ in policy.shares)]
        if blind := tuple(selector for selector in written if not selectors.names([selector], deployments)):
            found[policy.label] = blind
    return found


def policies_of(routing: Routing) -> list[Policy]:
    """Every policy that a request may be routed by."""
    found: list[Policy] = []
    for chosen in (routing.default, *(rule.chosen for rule in routing.rules)):
        found += [chosen] if isinstance(chosen, Policy) else [arm.policy for arm in chosen.arms]
    return found


def _by_name(every: tuple[Deployment, ...]) -> dict[str, tuple[Deployment, ...]]:
    """A deployment's name means it alone, also where it is a model's name as well."""
    named: dict[str, tuple[Deployment, ...]] = {}
    for deployment in every:
        named[deployment.model] = (*named.get(deployment.model, ()), deployment)
    return named | {d.name: (d,) for d in every} | {AUTO: every}


def _fits(rule: RoutingRule, request: Classified) -> bool:
    return (
        (not rule.tenants or request.request.tenant in rule.tenants)
        and (not rule.task_kinds or request.task_kind in rule.task_kinds)
        and (not rule.operations or request.operation in rule.operations)
        and (not rule.complexities or request.complexity in rule.complexities)
        and (not rule.sensitivities or not rule.sensitivities.isdisjoint(request.sensitivity))
    )


def _planned(
    policy: Policy, every: tuple[Deployment, ...], environment: str | None, gains: GainPredictor | None
) -> PlannedPolicy:
    fallbacks, context = (selectors.selected(chosen, every) for chosen in (policy.fallbacks.models, policy.fallbacks.context))
    learned = f"+{gains.version}" if gains is not None and Scorer.QUALITY in dict(policy.scorers) else ""
    return PlannedPolicy(
        policy=policy,
        label=policy.label + learned,
        scorers=tuple(
            (scorer.value, weight, SCORERS[scorer](Setting(policy, every, environment, gains)))
            for scorer, weight in policy.scorers
        ),
        barred=_barred(policy, every, environment),
        kept_back=frozenset(d.name for d in (*fallbacks, *context)),
        fallbacks=fallbacks,
        context=context,
    )


def _barred(policy: Policy, every: tuple[Deployment, ...], environment: str | None) -> dict[str, Exclusion]:
    filters = policy.filters
    only, without = selectors.names(filters.only, every), selectors.names(filters.without, every)
    barred: dict[str, Exclusion] = {}
    for deployment in every:
        if (reason := elsewhere(deployment, environment)) is not None:
            barred[deployment.name] = reason
        elif filters.only and deployment.name not in only:
            barred[deployment.name] = Exclusion(Lack.POLICY, f"{policy.label} chooses only of {', '.join(filters.only)}")
        elif deployment.name in without:
            barred[deployment.name] = Exclusion(Lack.POLICY, f"{policy.label} never chooses it")
    return barred
