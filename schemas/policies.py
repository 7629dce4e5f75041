"""How the operator wants requests to be routed: policies, experiments, and which of them a request gets."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from schemas.requests import Operation

CHEAPEST_HEALTHY = "cheapest-healthy"


class Scorer(StrEnum):
    """What a policy can weigh. Each gives a number from 0 to 1, higher being better."""

    SUCCESS = "success"
    LATENCY = "latency"
    SPEED = "speed"
    HEALTH = "health"
    PRICE = "price"
    LOAD = "load"
    HEADROOM = "headroom"
    USAGE = "usage"
    ROTATION = "rotation"
    SHARE = "share"
    PREFER = "prefer"
    ENVIRONMENT = "environment"
    QUALITY = "quality"


class Sticky(StrEnum):
    """What stays together when requests are spread: one request alone, or all of a user, a session or a tenant."""

    REQUEST = "request"
    USER = "user"
    SESSION = "session"
    TENANT = "tenant"


@dataclass(frozen=True, slots=True)
class Prefer:
    """Deployments to prefer when all of the conditions hold that are given; without any, always."""

    to: tuple[str, ...]
    temperature_above: float | None = None
    messages_above: int | None = None
    first_message_has: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Filters:
    """What a policy never chooses. `only` and `without` are selectors; `max_cost_nanousd` bounds the most a call can cost."""

    only: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    max_cost_nanousd: int | None = None


@dataclass(frozen=True, slots=True)
class Fallbacks:
    """`models` are called when no other is left, `context` when another said that the input is too long.

    When no call answers: the answer to a similar question if `similar` and there is one, else `text`.
    """

    models: tuple[str, ...] = ()
    context: tuple[str, ...] = ()
    text: str | None = None
    similar: bool = False


@dataclass(frozen=True, slots=True)
class Policy:
    """Filters, then scorers by weight. Without scorers it orders as `cheapest-healthy` does.

    Selectors name a deployment, a model or a provider, with `*` for any characters. `label` is `name@version`. `slow_ms` is of
    `latency`; `shares` and `sticky` of `share` and `rotation`; `prefer` of `prefer`; `environments` of `environment`; `weak`,
    `strong` and `target_quality` of `quality`. `hedge` is when a second call goes out: milliseconds, or the 95th percentile of
    the latencies of the one called first.
    """

    label: str
    scorers: tuple[tuple[Scorer, float], ...] = ()
    filters: Filters = field(default_factory=Filters)
    fallbacks: Fallbacks = field(default_factory=Fallbacks)
    hedge: int | Literal["p95"] | None = None
    slow_ms: float = 5_000.0
    shares: tuple[tuple[str, float], ...] = ()
    sticky: Sticky = Sticky.REQUEST
    prefer: tuple[Prefer, ...] = ()
    environments: tuple[tuple[str, tuple[str, ...]], ...] = ()
    weak: tuple[str, ...] = ()
    strong: tuple[str, ...] = ()
    target_quality: float = 0.9


@dataclass(frozen=True, slots=True)
class Arm:
    name: str
    weight: float
    policy: Policy


@dataclass(frozen=True, slots=True)
class Experiment:
    """Requests spread over arms by weight; `sticky` says what stays in one arm, another `salt` deals anew."""

    arms: tuple[Arm, ...]
    salt: str
    sticky: Sticky = Sticky.REQUEST


@dataclass(frozen=True, slots=True)
class RoutingRule:
    """Which requests get `chosen`: those that each condition which is not empty holds for."""

    chosen: Policy | Experiment
    tenants: frozenset[str] = frozenset()
    task_kinds: frozenset[str] = frozenset()
    operations: frozenset[Operation] = frozenset()
    complexities: frozenset[str] = frozenset()
    sensitivities: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Routing:
    """The first rule that fits decides, else `default`."""

    default: Policy | Experiment = field(default_factory=lambda: Policy(f"{CHEAPEST_HEALTHY}@1"))
    rules: tuple[RoutingRule, ...] = ()
