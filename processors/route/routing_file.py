"""The section `routing` of the operator's file, resolved to policies.

default:   a policy that has a name
policies:  name -> a preset and what differs from it; or `arms`, an experiment
rules:     a list of {tenant, task_kind, operation, complexity, sensitivity, policy, …}; the first that fits decides

A rule and an arm may add parameters to the policy that they name. What is given replaces the whole key.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, replace
from decimal import Decimal
from typing import Annotated, Any, Literal

import orjson
from pydantic import BeforeValidator, Field, StringConstraints

from processors.classify.complexity import Complexity
from processors.classify.kinds import TaskKind
from processors.route.presets import PRESET_VERSION, PRESETS
from processors.route.strict import Strict
from schemas.errors import SettingsError
from schemas.policies import (
    CHEAPEST_HEALTHY,
    Arm,
    Experiment,
    Fallbacks,
    Filters,
    Policy,
    Prefer,
    Routing,
    RoutingRule,
    Scorer,
    Sticky,
)
from schemas.requests import Operation

_DIGEST_CHARS = 6
_NANO_PER_USD = 10**9


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


_PolicyName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
_Version = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._]{0,31}$"), BeforeValidator(str)]
_Selector = Annotated[str, StringConstraints(pattern=r"^[!-~]{1,200}$")]
_Selectors = Annotated[tuple[_Selector, ...], BeforeValidator(_listed), Field(min_length=1)]
_Weight = Annotated[float, Field(gt=0, le=1e6, allow_inf_nan=False)]
_Words = Annotated[tuple[Annotated[str, StringConstraints(min_length=1)], ...], BeforeValidator(_listed)]
_Usd = Annotated[Decimal, Field(ge=0, max_digits=18, decimal_places=9)]
_Milliseconds = Annotated[int, Field(ge=1, le=86_400_000)]


class _Prefer(Strict):
    to: _Selectors
    temperature_above: float | None = None
    messages_above: int | None = None
    first_message_has: _Words = ()


class _Filters(Strict):
    only: _Selectors | None = None
    without: _Selectors | None = None
    max_cost_usd: _Usd | None = None


class _Fallbacks(Strict):
    models: _Selectors | None = None
    context: _Selectors | None = None
    text: Annotated[str, StringConstraints(min_length=1, max_length=10_000)] | None = None
    similar: bool = False


class _Parameters(Strict):
    """What a policy consists of; None: as in the one that it starts from."""

    version: _Version | None = None
    scorers: dict[Scorer, _Weight] | None = None
    filters: _Filters | None = None
    fallbacks: _Fallbacks | None = None
    hedge: Literal["p95"] | _Milliseconds | None = None
    slow_ms: Annotated[float, Field(gt=0, le=86_400_000)] | None = None
    shares: dict[_Selector, _Weight] | None = Field(None, min_length=1)
    sticky: Sticky | None = None
    prefer: tuple[_Prefer, ...] | None = Field(None, min_length=1)
    environments: dict[str, _Selectors] | None = Field(None, min_length=1)
    weak: _Selectors | None = None
    strong: _Selectors | None = None
    target_quality: Annotated[float, Field(gt=0, le=1)] | None = None

    def given(self) -> dict[str, Any]:
        """What is set here, by key, without what only some of the mappings have."""
        return {name: getattr(self, name) for name in _Parameters.model_fields if getattr(self, name) is not None}


class _Arm(_Parameters):
    weight: _Weight
    policy: str


class _Named(_Parameters):
    preset: str | None = None
    arms: dict[_PolicyName, _Arm] | None = Field(None, min_length=2)
    salt: str | None = None


class _Rule(_Parameters):
    policy: str
    tenant: _Words = ()
    task_kind: Annotated[tuple[TaskKind, ...], BeforeValidator(_listed)] = ()
    operation: Annotated[tuple[Operation, ...], BeforeValidator(_listed)] = ()
    complexity: Annotated[tuple[Complexity, ...], BeforeValidator(_listed)] = ()
    sensitivity: _Words = ()


class RoutingFile(Strict):
    default: str = CHEAPEST_HEALTHY
    policies: dict[_PolicyName, _Named] = Field(default_factory=dict)
    rules: tuple[_Rule, ...] = ()


def resolve(given: RoutingFile, *, source: str) -> Routing:
    """The policies by what chooses them. Raises SettingsError, which names the key and what to do."""
    return _Resolver(given.policies, source).routing(given)


class _Resolver:
    """Finds the definition behind every name."""

    def __init__(self, own: Mapping[str, _Named], source: str) -> None:
        self._own = own
        self._source = source

    def routing(self, given: RoutingFile) -> Routing:
        for name, named in self._own.items():
            if name in PRESETS:
                raise self._error(f"policies.{name}", "is the name of a preset; give yours another, with `preset: " + name + "`")
            self._chosen(name, {}, f"policies.{name}")
            if named.salt is not None and named.arms is None:
                raise self._error(f"policies.{name}.salt", "is of an experiment; add its `arms`, or remove it")
        rules = tuple(
            RoutingRule(
                chosen=self._chosen(rule.policy, rule.given(), f"rules[{i}]"),
                tenants=frozenset(rule.tenant),
                task_kinds=frozenset(kind.value for kind in rule.task_kind),
                operations=frozenset(rule.operation),
                complexities=frozenset(complexity.value for complexity in rule.complexity),
                sensitivities=frozenset(rule.sensitivity),
            )
            for i, rule in enumerate(given.rules)
        )
        return Routing(self._chosen(given.default, {}, "default"), rules)

    def _chosen(self, name: str, changes: dict[str, Any], where: str) -> Policy | Experiment:
        """The policy or the experiment of that name, with changes."""
        named = self._own.get(name)
        if named is None or named.arms is None:
            return self._policy(name, changes, where)
        if wrong := named.given().keys() - {"sticky"}:
            raise self._error(where, f"{_keys(wrong)} cannot stand beside `arms`; move it into the policies of the arms")
        if named.preset is not None:
            raise self._error(where, "takes either `preset` or `arms`")
        if changes:
            raise self._error(where, f"{_keys(changes)} cannot change an experiment; change the policy {name} itself")
        arms = tuple(self._arm(arm_name, arm, f"policies.{name}.arms.{arm_name}") for arm_name, arm in named.arms.items())
        return Experiment(arms, salt=named.salt or name, sticky=named.sticky or Sticky.REQUEST)

    def _arm(self, name: str, arm: _Arm, where: str) -> Arm:
        if (named := self._own.get(arm.policy)) is not None and named.arms is not None:
            raise self._error(where, f"names {arm.policy}, which has arms itself; an arm takes a plain policy")
        return Arm(name, arm.weight, self._policy(arm.policy, arm.given(), where))

    def _policy(self, name: str, changes: dict[str, Any], where: str) -> Policy:
        named = self._own.get(name)
        preset = name if named is None else named.preset or CHEAPEST_HEALTHY
        if preset not in PRESETS:
            if named is None:
                raise self._error(where, f"names the policy {name!r}; there are {', '.join([*self._own, *PRESETS])}")
            raise self._error(f"policies.{name}.preset", f"there is no preset {preset!r}; choose of {', '.join(PRESETS)}")
        keys = _Parameters.model_validate(PRESETS[preset]).given() | ({} if named is None else named.given()) | changes
        version = keys.pop("version", PRESET_VERSION)
        policy = _built(keys)
        self._check(policy, where)
        plain = named is None and not changes
        return replace(policy, label=f"{name}@{version}" if plain else f"{name}@{version}-{_digest(policy)}")

    def _check(self, policy: Policy, where: str) -> None:
        """Whether each scorer has what it needs."""
        scorers = dict(policy.scorers)
        for scorer, key, given in (
            (Scorer.SHARE, "shares", policy.shares),
            (Scorer.PREFER, "prefer", policy.prefer),
            (Scorer.ENVIRONMENT, "environments", policy.environments),
            (Scorer.QUALITY, "weak", policy.weak),
            (Scorer.QUALITY, "strong", policy.strong),
        ):
            if scorer in scorers and not given:
                raise self._error(f"{where}.{key}", f"is missing: the scorer `{scorer.value}` needs it")
            if scorer not in scorers and given:
                raise self._error(
                    f"{where}.{key}", f"is of the scorer `{scorer.value}`, which the policy does not have; add it to `scorers`"
                )

    def _error(self, where: str, told: str) -> SettingsError:
        return SettingsError(f"{self._source}: routing.{where}: {told}")


def _keys(names: Any) -> str:
    return ", ".join(f"`{name}`" for name in sorted(names))


def _built(keys: Mapping[str, Any]) -> Policy:
    filters: _Filters = keys.get("filters") or _Filters()
    fallbacks: _Fallbacks = keys.get("fallbacks") or _Fallbacks()
    bound = filters.max_cost_usd
    return Policy(
        label="",
        scorers=tuple(sorted((keys.get("scorers") or {}).items())),
        filters=Filters(filters.only or (), filters.without or (), None if bound is None else int(bound * _NANO_PER_USD)),
        fallbacks=Fallbacks(fallbacks.models or (), fallbacks.context or (), fallbacks.text, fallbacks.similar),
        shares=tuple(sorted((keys.get("shares") or {}).items())),
        prefer=tuple(
            Prefer(p.to, p.temperature_above, p.messages_above, tuple(word.lower() for word in p.first_message_has))
            for p in keys.get("prefer", ())
        ),
        environments=tuple(sorted((keys.get("environments") or {}).items())),
        **{name: keys[name] for name in ("hedge", "slow_ms", "sticky", "weak", "strong", "target_quality") if name in keys},
    )


def _digest(policy: Policy) -> str:
    """Of the definition as it is resolved: the same definition under two names has the same digest."""
    return hashlib.sha256(orjson.dumps(asdict(policy), option=orjson.OPT_SORT_KEYS)).hexdigest()[:_DIGEST_CHARS]
