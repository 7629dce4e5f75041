"""What policies weigh: of each deployment a number from 0 to 1, higher being better.

`success`      how many of its last calls succeeded
`latency`      1 for an answer at once, 0 from `slow_ms` on
`speed`        the same without an end: 1 for an answer at once, 0.5 for one after a second
`health`       1 well, 0.5 limited, 0.25 half open, 0 open
`price`        1 when it is free, 0.5 for the dearest of those that can take the request; 0 when no price is known
`load`         1 when nothing is in flight, 0.5 when as much is as it takes at a time
`headroom`     the share of its key's rate limits that is left
`usage`        1 when it had no calls lately, less with each
`rotation`     a stable hash of the request and its name: all win alike
`share`        the same, each winning in proportion to its share; 0 without a share
`prefer`       1 for what the first fitting condition prefers
`environment`  1 for what the environment prefers
`quality`      1 for the strong models if the prompt is predicted to gain enough by them, else for the weak ones

What no call has told about yet counts as well, fast and idle: it is tried, and then it is known.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeAlias

from processors.classify.asked import asked
from processors.classify.decide import Classified
from processors.route import selectors, spread
from processors.route.contenders import Contender, View
from processors.route.gains import GainPredictor
from schemas.deployments import Deployment
from schemas.errors import SettingsError
from schemas.policies import Policy, Prefer, Scorer
from schemas.requests import InferenceRequest


@dataclass(frozen=True, slots=True)
class Question:
    """What a scorer may look at besides the deployment."""

    request: Classified
    contenders: Sequence[Contender]
    view: View
    now: datetime


@dataclass(frozen=True, slots=True)
class Scoring:
    """How one request's deployments score; `notes` say what that rests on, and stand beside the scores in the log."""

    of: Callable[[Contender], float]
    notes: Mapping[str, float] = field(default_factory=dict)


MakeScoring: TypeAlias = Callable[[Question], Scoring]
_HEALTH = (1.0, 0.5, 0.25, 0.0)


@dataclass(frozen=True, slots=True)
class Setting:
    """What a scorer is made of."""

    policy: Policy
    deployments: Sequence[Deployment]
    environment: str | None = None
    gains: GainPredictor | None = None

    def among(self, chosen: Iterable[str]) -> Callable[[Contender], float]:
        """1 for what the selectors name, else 0."""
        return _among(selectors.names(chosen, self.deployments))


def _same(of: Callable[[Contender], float]) -> MakeScoring:
    """A scorer that asks nothing of the request."""
    scoring = Scoring(of)
    return lambda _: scoring


def _latency(setting: Setting) -> MakeScoring:
    slow_ms = setting.policy.slow_ms
    return _same(lambda contender: max(0.0, 1.0 - (contender.health.latency_ms or 0.0) / slow_ms))


def _headroom(question: Question) -> Scoring:
    return Scoring(lambda contender: _left(contender.health.headroom(question.now)))


def _among(names: frozenset[str]) -> Callable[[Contender], float]:
    return lambda contender: float(contender.deployment.name in names)


def _left(headroom: float | None) -> float:
    return 1.0 if headroom is None else headroom


def _price(question: Question) -> Scoring:
    dearest = max((c.cost_nanousd for c in question.contenders if c.cost_nanousd is not None), default=0)

    def of(contender: Contender) -> float:
        cost = contender.cost_nanousd
        if cost is None:
            return 0.0
        return dearest / (dearest + cost) if dearest else 1.0

    return Scoring(of)


def _load(question: Question) -> Scoring:
    ordered = question.view.ordered

    def of(contender: Contender) -> float:
        takes = contender.deployment.max_concurrency
        return takes / (takes + contender.health.in_flight + ordered.get(contender.deployment.name, 0))

    return Scoring(of)


def _usage(question: Question) -> Scoring:
    ordered, now = question.view.ordered, question.now

    def of(contender: Contender) -> float:
        health = contender.health
        return 1.0 / (1.0 + health.recent.calls(now) + health.in_flight + ordered.get(contender.deployment.name, 0))

    return Scoring(of)


def _rotation(setting: Setting) -> MakeScoring:
    sticky = setting.policy.sticky

    def make(question: Question) -> Scoring:
        key = spread.key_of(question.request.request, sticky)
        return Scoring(lambda contender: spread.share(key, contender.deployment.name))

    return make


def _shares(setting: Setting) -> dict[str, float]:
    """The share of each deployment; a selector that names several gives its share to all of them together."""
    found: dict[str, float] = {}
    for selector, weight in setting.policy.shares:
        named = selectors.names([selector], setting.deployments)
        for name in named:
            found[name] = found.get(name, 0.0) + weight / len(named)
    return found


def _share(setting: Setting) -> MakeScoring:
    weights, sticky = _shares(setting), setting.policy.sticky

    def make(question: Question) -> Scoring:
        key = spread.key_of(question.request.request, sticky)

        def of(contender: Contender) -> float:
            weight = weights.get(contender.deployment.name)
            return 0.0 if weight is None else spread.share(key, contender.deployment.name, weight)

        return Scoring(of)

    return make


def _prefer(setting: Setting) -> MakeScoring:
    conditions = [(prefer, Scoring(setting.among(prefer.to))) for prefer in setting.policy.prefer]
    none_holds = Scoring(lambda _: 0.0)

    def make(question: Question) -> Scoring:
        request = question.request.request
        return next((scoring for prefer, scoring in conditions if holds(prefer, request)), none_holds)

    return make


def holds(prefer: Prefer, request: InferenceRequest) -> bool:
    """Whether all conditions that are given hold.

    Words are looked for in the first message, be it the system prompt or not, in upper and lower case, and within longer words.
    """
    temperature = request.sampling.temperature
    if prefer.temperature_above is not None and (temperature is None or temperature <= prefer.temperature_above):
        return False
    if prefer.messages_above is not None and len(request.messages) <= prefer.messages_above:
        return False
    if not prefer.first_message_has:
        return True
    if not request.messages:
        return False
    first = request.messages[0]
    text = (first.content if first.content is not None else " ".join(part.text or "" for part in first.parts)).lower()
    return any(word in text for word in prefer.first_message_has)


def _environment(setting: Setting) -> MakeScoring:
    known, environment = dict(setting.policy.environments), setting.environment
    if environment is None or environment not in known:
        raise SettingsError(
            f"the routing policy {setting.policy.label} goes by the environment: set PENSTOCK_ENVIRONMENT to {' or '.join(known)}"
        )
    return _same(setting.among(known[environment]))


def _quality(setting: Setting) -> MakeScoring:
    policy, gains = setting.policy, setting.gains
    if gains is None:
        raise SettingsError(f"the routing policy {policy.label} needs a model of what prompts gain; choose another policy")
    strong, weak = setting.among(policy.strong), setting.among(policy.weak)
    threshold = gains.threshold(policy.target_quality)

    def make(question: Question) -> Scoring:
        text, vector = asked(question.request.request).text, question.request.vector
        if not text.strip() or vector is None:
            return Scoring(strong)
        gain = gains.gain(text, vector)
        return Scoring(strong if gain >= threshold else weak, {"gain": gain, "threshold": threshold})

    return make


SCORERS: Mapping[Scorer, Callable[[Setting], MakeScoring]] = {
    Scorer.SUCCESS: lambda _: _same(lambda contender: contender.health.success_rate),
    Scorer.LATENCY: _latency,
    Scorer.SPEED: lambda _: _same(lambda contender: 1.0 / (1.0 + (contender.health.latency_ms or 0.0) / 1_000.0)),
    Scorer.HEALTH: lambda _: _same(lambda contender: _HEALTH[contender.ailing]),
    Scorer.PRICE: lambda _: _price,
    Scorer.LOAD: lambda _: _load,
    Scorer.HEADROOM: lambda _: _headroom,
    Scorer.USAGE: lambda _: _usage,
    Scorer.ROTATION: _rotation,
    Scorer.SHARE: _share,
    Scorer.PREFER: _prefer,
    Scorer.ENVIRONMENT: _environment,
    Scorer.QUALITY: _quality,
}
"""How each scorer is made, with all that does not depend on the request worked out. Raises SettingsError for what is not set."""
