"""The order of the deployments that can take a request, and what it rests on."""

from processors.route.case import Case
from processors.route.contenders import Contender
from processors.route.scorers import Question
from schemas.requests import SpeedPriority
from schemas.routing import Scored

_MOSTLY = 0.8
_NO_PRICE = 2**62
_UNKNOWN_MS = float("inf")

Rank = tuple[int, int, float, float, str]
"""Lower is better. The name comes last, so that replaying the topic routes alike."""


def ordered(case: Case, fitting: list[Contender]) -> tuple[list[tuple[Contender, float | None]], list[Scored]]:
    """Best first, each with its score, and what that is made of."""
    priority = case.request.request.preferences.speed_priority
    if priority is SpeedPriority.BALANCED and case.chosen.by.scorers:
        return _by_score(case, fitting)
    ranked = sorted(fitting, key=_RANKS[priority])
    scores = [Scored(each.deployment.name, None, _parts(each, priority)) for each in ranked]
    return [(each, None) for each in ranked], scores


def _by_score(case: Case, fitting: list[Contender]) -> tuple[list[tuple[Contender, float | None]], list[Scored]]:
    question = Question(case.request, fitting, case.view, case.now)
    scorings = [(name, weight, make(question)) for name, weight, make in case.chosen.by.scorers]
    notes = {name: value for _, _, scoring in scorings for name, value in scoring.notes.items()}
    rows = []
    for each in fitting:
        parts = {name: weight * scoring.of(each) for name, weight, scoring in scorings}
        total = sum(parts.values())
        rows.append(((each.ailing, each.place, -total, each.deployment.name), each, total, parts | notes))
    rows.sort(key=lambda row: row[0])
    return [(each, total) for _, each, total, _ in rows], [Scored(e.deployment.name, total, parts) for _, e, total, parts in rows]


def _fast(each: Contender) -> Rank:
    latency_ms = each.health.latency_ms
    return each.ailing, each.place, _UNKNOWN_MS if latency_ms is None else latency_ms, _cost(each), each.deployment.name


def _balanced(each: Contender) -> Rank:
    return each.ailing, each.place, each.health.success_rate < _MOSTLY, _cost(each), each.deployment.name


def _cheap(each: Contender) -> Rank:
    return each.ailing, each.place, _cost(each), 0, each.deployment.name


def _cost(each: Contender) -> int:
    return _NO_PRICE if each.cost_nanousd is None else each.cost_nanousd


_RANKS = {SpeedPriority.FAST: _fast, SpeedPriority.BALANCED: _balanced, SpeedPriority.CHEAP: _cheap}


def _parts(each: Contender, priority: SpeedPriority) -> dict[str, float]:
    """What the place of one that has no score rests on, in its own units; what is as it should be is left out."""
    parts: dict[str, float] = {} if each.cost_nanousd is None else {"cost_nanousd": each.cost_nanousd}
    if each.health.success_rate < _MOSTLY:
        parts["success_rate"] = each.health.success_rate
    if priority is SpeedPriority.FAST and each.health.latency_ms is not None:
        parts["latency_ms"] = each.health.latency_ms
    if each.ailing:
        parts["ailing"] = float(each.ailing)
    return parts
