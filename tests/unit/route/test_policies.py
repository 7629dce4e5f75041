"""Each policy by what it chooses, and what it says about it."""

from collections import Counter
from dataclasses import replace
from datetime import timedelta

import pytest

from processors.health.fold import DeploymentHealth
from processors.health.recent import counted, minute_of
from processors.route.contenders import View
from processors.route.decide import MAX_CANDIDATES, decide
from processors.route.plan import choose, plan
from processors.route.presets import PRESETS
from processors.route.scorers import SCORERS
from schemas.calls import Output
from schemas.errors import SettingsError
from schemas.policies import Scorer
from schemas.requests import Message, Sampling, SpeedPriority
from schemas.routing import CachedAnswer, CandidateUse, Fallback
from tests.unit.route.cases import NOW, REQUEST, book, classified, deployment, names, prefer, route, routing

CLAUDE = deployment("anthropic/claude", "anthropic", "9", model="claude-x")
GPT = deployment("openai/gpt", "openai", "3", model="gpt-x")
LLAMA = deployment("ollama/llama", "ollama", "0", model="llama-x", max_concurrency=4)
ALL = (CLAUDE, GPT, LLAMA)
C, G, L = (d.name for d in ALL)


def recent(calls: int):
    """The health of a deployment that had so many calls just now."""
    found = DeploymentHealth().recent
    for _ in range(calls):
        found = counted(found, minute_of(NOW), succeeded=True, latency_ms=10.0)
    return DeploymentHealth(recent=found)


def healths(field: str, *values: object) -> dict[str, DeploymentHealth]:
    return {d.name: DeploymentHealth(**{field: value}) for d, value in zip(ALL, values, strict=True)}


def chat(*texts: str, **sampling: object):
    return replace(REQUEST, messages=tuple(Message("user", text) for text in texts), sampling=Sampling(**sampling))


@pytest.mark.parametrize(
    ("policy", "health", "expected"),
    [
        pytest.param("cheapest", {L: DeploymentHealth(success_rate=0.1)}, [L, G, C], id="cheapest-whatever-fails"),
        pytest.param("latency", healths("latency_ms", 10.0, 9_000.0, 20_000.0), [C, G, L], id="latency-beyond-five-seconds-too"),
        pytest.param("latency", {C: DeploymentHealth(latency_ms=10.0)}, [L, G, C], id="latency-tries-the-unknown"),
        pytest.param("least-busy", healths("in_flight", 3, 30, 4), [C, G, L], id="least-busy-by-what-each-takes"),
        pytest.param("least-used", {C: recent(1), G: recent(3), L: recent(2)}, [C, L, G], id="least-used"),
        pytest.param("composite", {}, [C, L, G], id="composite-of-equals-by-name"),
        pytest.param(
            "composite",
            {C: DeploymentHealth(latency_ms=2_500.0), G: DeploymentHealth(success_rate=0.6), L: DeploymentHealth()},
            [L, C, G],
            id="composite",
        ),
    ],
)
def test_presets(policy, health, expected):
    assert names(route(REQUEST, ALL, health, by=routing(default=policy))) == expected


@pytest.mark.parametrize(
    ("health", "parts"),
    [
        pytest.param(DeploymentHealth(), {"success": 0.4, "latency": 0.3, "health": 0.3}, id="unknown-is-well"),
        pytest.param(
            DeploymentHealth(success_rate=0.5, latency_ms=1_000.0),
            {"success": 0.2, "latency": 0.24, "health": 0.3},
            id="measured",
        ),
        pytest.param(DeploymentHealth(latency_ms=9_000.0), {"success": 0.4, "latency": 0.0, "health": 0.3}, id="slow"),
        pytest.param(
            DeploymentHealth(limited_until=NOW + timedelta(seconds=9)),
            {"success": 0.4, "latency": 0.3, "health": 0.15},
            id="limited",
        ),
        pytest.param(
            DeploymentHealth(opened_at=NOW - timedelta(seconds=61)),
            {"success": 0.4, "latency": 0.3, "health": 0.075},
            id="half-open",
        ),
        pytest.param(DeploymentHealth(opened_at=NOW), {"success": 0.4, "latency": 0.3, "health": 0.0}, id="open"),
    ],
)
def test_what_composite_weighs(health, parts):
    (scored,) = route(REQUEST, [GPT], {G: health}, by=routing(default="composite")).scores
    assert scored.parts == pytest.approx(parts)
    assert scored.score == pytest.approx(sum(parts.values()))


def test_candidates_carry_their_scores():
    outcome = route(REQUEST, ALL, {G: DeploymentHealth(success_rate=0.5)}, by=routing(default="composite"))
    assert [c.score for c in outcome.candidates] == [s.score for s in outcome.scores] == pytest.approx([1.0, 1.0, 0.8])


@pytest.mark.parametrize(
    ("request_", "first"),
    [
        pytest.param(chat("hello", temperature=0.8), C, id="hot"),
        pytest.param(chat("hello", temperature=0.7), L, id="not-above"),
        pytest.param(chat(*["hello"] * 11), G, id="long-conversation"),
        pytest.param(chat(*["hello"] * 10), L, id="ten-messages-are-not-more-than-ten"),
        pytest.param(chat("Please IMPLEMENT a queue"), C, id="code-in-any-case"),
        pytest.param(chat("hello", "write a function"), L, id="only-the-first-message-counts"),
        pytest.param(chat(*["write code"] * 11), G, id="the-first-condition-that-holds"),
        pytest.param(chat("hello"), L, id="else-the-least-used"),
    ],
)
def test_rules(request_, first):
    health = {C: recent(9), G: recent(5), L: recent(1)}
    assert names(route(request_, ALL, health, by=routing(default="rules")))[0] == first


def test_the_preferred_come_first_however_much_they_are_used():
    others = deployment("anthropic/opus", "anthropic", model="claude-y")
    health = {C: recent(50), others.name: recent(40), L: recent(0)}
    order = names(route(chat("code"), (*ALL, others), health, by=routing(default="rules")))
    assert set(order[:2]) == {C, others.name}
    assert order[0] == others.name


@pytest.mark.parametrize(("environment", "first"), [("development", L), ("production", G)])
def test_environment(environment, first):
    assert names(route(REQUEST, ALL, by=routing(default="environment"), environment=environment))[0] == first


@pytest.mark.parametrize("environment", [None, "staging"])
def test_an_environment_that_the_policy_does_not_know(environment):
    with pytest.raises(SettingsError, match="set PENSTOCK_ENVIRONMENT to development or production"):
        route(REQUEST, ALL, by=routing(default="environment"), environment=environment)


def test_environments_of_ones_own():
    own = {"preset": "environment", "environments": {"staging": "anthropic"}}
    assert names(route(REQUEST, ALL, by=routing(default="e", policies={"e": own}), environment="staging"))[0] == C


def firsts(by, count=2_000, deployments=ALL, **changes):
    """How often each comes first among so many requests."""
    planned, found = plan(by, deployments, book(deployments)), Counter()
    for i in range(count):
        asked = classified(replace(REQUEST, request_id=f"r{i}", **changes))
        found[names(decide(asked, planned, choose(planned, asked), View({}), now=NOW))[0]] += 1
    return found


def test_round_robin_gives_each_the_same():
    found = firsts(routing(default="round-robin"))
    assert all(600 < found[d.name] < 733 for d in ALL), found


def test_weighted_gives_each_its_share():
    found = firsts(routing(default="w", policies={"w": {"preset": "weighted", "shares": {"anthropic": 3, "gpt-x": 1}}}))
    assert 430 < found[G] < 570, found
    assert found[C] + found[G] == 2_000, "what has no share is there for when the others fail"


def test_a_share_of_several_is_divided_among_them():
    haiku = deployment("anthropic/haiku", "anthropic")
    by = routing(default="w", policies={"w": {"preset": "weighted", "shares": {"anthropic": 1, "openai": 1}}})
    found = firsts(by, deployments=(*ALL, haiku))
    assert 920 < found[C] + found[haiku.name] < 1_080, found
    assert 430 < found[haiku.name] < 570, found


def test_weighted_keeps_together_what_sticks():
    own = {"preset": "weighted", "shares": {C: 1, G: 1}, "sticky": "user"}
    by = routing(default="w", policies={"w": own})
    assert len(firsts(by, 50, user="ada")) == 1
    assert len({next(iter(firsts(by, 1, user=f"user-{i}"))) for i in range(50)}) == 2


def test_what_was_ordered_since_counts_as_busy():
    by = routing(default="least-busy")
    assert names(route(REQUEST, ALL, by=by, ordered={C: 1, L: 1})) == [G, C, L]


class Gains:
    """Gains by the length of the prompt, for tests to foresee."""

    version = "g7"

    def gain(self, text, vector):
        assert vector == "vector"
        return len(text) / 100

    def threshold(self, target_quality):
        return {0.9: 0.5, 0.5: 0.9}[target_quality]


QUALITY = {"preset": "quality-per-cost", "weak": ["llama*", "gpt*"], "strong": ["anthropic"]}


@pytest.mark.parametrize(
    ("chars", "target", "expected"),
    [
        pytest.param(49, 0.9, [L, G, C], id="the-cheaper-suffices"),
        pytest.param(50, 0.9, [C, L, G], id="the-dearer-pays"),
        pytest.param(60, 0.5, [L, G, C], id="a-lower-target-saves"),
        pytest.param(0, 0.9, [C, L, G], id="nothing-to-judge-by"),
    ],
)
def test_quality_per_cost(chars, target, expected):
    by = routing(default="q", policies={"q": QUALITY | {"target_quality": target}})
    outcome = route(classified(chat("x" * chars), vector="vector"), ALL, by=by, gains=Gains())
    assert names(outcome) == expected
    if chars:
        assert outcome.scores[0].parts["gain"] == chars / 100
        assert outcome.scores[0].parts["threshold"] == Gains().threshold(target)


def test_quality_without_a_model_is_refused():
    with pytest.raises(SettingsError, match=r"q@1-\w{6} needs a model of what prompts gain"):
        route(REQUEST, ALL, by=routing(default="q", policies={"q": QUALITY}))


def test_what_the_sender_gives_priority_to_comes_before_the_policy():
    health = healths("latency_ms", 10.0, 20.0, 30.0)
    by = routing(default="p", policies={"p": {"scorers": {"prefer": 1}, "prefer": [{"to": "openai"}]}})
    assert names(route(REQUEST, ALL, health, by=by))[0] == G
    assert names(route(prefer(speed_priority=SpeedPriority.FAST), ALL, health, by=by)) == [C, G, L]
    assert names(route(prefer(speed_priority=SpeedPriority.CHEAP), ALL, health, by=by)) == [L, G, C]


@pytest.mark.parametrize("policy", [name for name, keys in PRESETS.items() if "shares" not in keys])
def test_every_policy_puts_health_and_the_senders_order_first_and_forgets_nobody(policy):
    own = {"weighted": {"shares": {"*": 1}}, "quality-per-cost": {"weak": "ollama", "strong": "anthropic"}}.get(policy, {})
    by = routing(default="own", policies={"own": {"preset": policy} | own})
    asked = classified(prefer(providers=("openai", "ollama", "anthropic")))
    health = {G: DeploymentHealth(opened_at=NOW)}
    outcome = route(asked, ALL, health, by=by, environment="production", gains=Gains())
    assert names(outcome) == [L, C, G]
    assert outcome == route(asked, tuple(reversed(ALL)), health, by=by, environment="production", gains=Gains())


def test_there_is_a_way_to_make_each_scorer():
    assert set(SCORERS) == set(Scorer)


def filtered(request=REQUEST, deployments=ALL, **filters):
    return route(request, deployments, by=routing(default="f", policies={"f": {"filters": filters}}))


def test_filters():
    assert names(filtered(only=["openai", "claude-*"])) == [G, C]
    assert names(filtered(without="*/gpt")) == [L, C]
    assert names(filtered(only=["openai", "claude-*"], without=["anthropic"])) == [G]
    assert names(filtered(max_cost_usd="0.02")) == [L, G]
    (scored,) = (s for s in filtered(only="openai").scores if s.deployment == C)
    assert scored.lack == "excluded_by_policy"
    assert scored.why.endswith("chooses only of openai")


def test_of_two_bounds_on_cost_the_lower_holds():
    assert names(filtered(prefer(max_cost_nanousd=1), max_cost_usd="0.02")) == [L]
    assert names(filtered(prefer(max_cost_nanousd=10**9), max_cost_usd="0.02")) == [L, G]


def test_a_filter_that_leaves_nobody_is_an_error_that_says_so():
    outcome = filtered(only="nobody")
    assert outcome.kind == "excluded_by_policy"
    assert "chooses only of nobody" in outcome.message


@pytest.mark.parametrize(("environment", "left"), [("production", [L, G]), ("test", [L]), (None, [L])])
def test_deployments_of_other_environments(environment, left):
    local = (LLAMA, replace(GPT, environments=frozenset({"production"})))
    outcome = route(REQUEST, local, environment=environment)
    assert names(outcome) == left
    assert {s.deployment for s in outcome.scores if s.lack == "other_environment"} == {L, G} - set(left)


SMALL = replace(LLAMA, context_tokens=1_000, max_output_tokens=100)


def uses(outcome):
    return [(c.deployment, c.use) for c in outcome.candidates]


def backed(request=REQUEST, deployments=(CLAUDE, GPT, SMALL), **fallbacks):
    return route(request, deployments, by=routing(default="f", policies={"f": {"fallbacks": fallbacks}}))


ALWAYS, FALLBACK, CONTEXT = CandidateUse.ALWAYS, CandidateUse.FALLBACK, CandidateUse.CONTEXT


@pytest.mark.parametrize(
    ("model", "fallbacks", "expected"),
    [
        pytest.param("llama-x", {"models": ["openai", C]}, [(L, ALWAYS), (G, FALLBACK), (C, FALLBACK)], id="in-their-order"),
        pytest.param("auto", {"models": L}, [(G, ALWAYS), (C, ALWAYS), (L, FALLBACK)], id="the-cheapest-is-kept-back"),
        pytest.param(L, {"models": L}, [(L, ALWAYS)], id="what-is-asked-for-is-no-fallback"),
        pytest.param("llama-x", {"context": G, "models": C}, [(L, ALWAYS), (G, CONTEXT), (C, FALLBACK)], id="longer-before-last"),
        pytest.param("llama-x", {"context": G, "models": G}, [(L, ALWAYS), (G, CONTEXT)], id="each-once"),
        pytest.param("auto", {"models": "*"}, [(C, FALLBACK), (L, FALLBACK), (G, FALLBACK)], id="nothing-but-fallbacks"),
        pytest.param("auto", {"context": "*"}, [(C, ALWAYS), (L, ALWAYS), (G, ALWAYS)], id="nothing-but-long-ones"),
    ],
)
def test_fallbacks(model, fallbacks, expected):
    found = uses(backed(replace(REQUEST, model=model), **fallbacks))
    assert sorted(found) == sorted(expected)
    assert [use for _, use in found] == [use for _, use in expected]
    if not isinstance(next(iter(fallbacks.values())), str):
        assert found == expected


LONG = chat("a" * 40_000)


def test_what_is_too_long_by_estimate_goes_to_the_longer_at_once():
    assert uses(backed(replace(LONG, model="llama-x"), context=G)) == [(G, ALWAYS)]


def test_the_longer_do_not_stand_in_for_what_lacks_an_ability():
    small = replace(SMALL, tools=False)
    asked = classified(replace(REQUEST, model="llama-x"), needs=replace(classified().needs, tools=True))
    assert backed(asked, (GPT, small), context=G).kind == "unsupported"
    assert uses(backed(asked, (GPT, small), models=G)) == [(G, FALLBACK)]


def test_a_deployment_names_what_takes_longer_inputs():
    small = replace(SMALL, context_fallbacks=("gpt-x",))
    found = route(replace(REQUEST, model="llama-x"), (CLAUDE, GPT, small))
    assert uses(found) == [(L, ALWAYS), (G, CONTEXT)]
    assert found.candidates[0].context_tokens == 1_000
    assert uses(route(replace(REQUEST, model="gpt-x"), (CLAUDE, GPT, small))) == [(G, ALWAYS)]
    assert uses(route(replace(LONG, model="llama-x"), (CLAUDE, GPT, small))) == [(G, ALWAYS)]


def test_fallbacks_have_to_fit_as_well():
    pinned = replace(REQUEST, model="llama-x", preferences=prefer(providers=("ollama", "openai")).preferences)
    found = backed(pinned, models=["anthropic", "openai"])
    assert uses(found) == [(L, ALWAYS), (G, FALLBACK)]
    assert {s.deployment: s.lack for s in found.scores} == {L: None, G: None, C: "provider_not_available"}


def test_a_fallback_that_was_ranked_too_low_is_told_about_once():
    many = [deployment(f"d{i}", "p", str(i + 1), model="same") for i in range(8)]
    found = backed(replace(REQUEST, model="same"), many, models=["d7"])
    assert uses(found)[-1] == ("d7", FALLBACK)
    assert len(found.candidates) == MAX_CANDIDATES + 1
    assert Counter(s.deployment for s in found.scores) == Counter(d.name for d in many)


def test_a_model_that_nobody_serves_has_no_fallback():
    assert backed(replace(REQUEST, model="gpt-y"), models=G).kind == "unknown_model"


SIMILAR = CachedAnswer(Output("4"), "p", "d", "m", NOW, similarity=0.9)


@pytest.mark.parametrize(
    ("fallbacks", "similar", "expected"),
    [
        pytest.param({"text": "later"}, SIMILAR, Fallback(None, "later"), id="text-alone"),
        pytest.param({"similar": True}, SIMILAR, Fallback(SIMILAR, None), id="similar"),
        pytest.param({"similar": True}, None, None, id="nothing-similar"),
        pytest.param({"similar": True, "text": "later"}, SIMILAR, Fallback(SIMILAR, "later"), id="both"),
        pytest.param({"models": G}, SIMILAR, None, id="not-wanted"),
    ],
)
def test_what_answers_when_no_provider_does(fallbacks, similar, expected):
    by = routing(default="f", policies={"f": {"fallbacks": fallbacks}})
    assert route(REQUEST, ALL, by=by, similar=similar).fallback == expected


@pytest.mark.parametrize(
    ("hedge", "health", "deployments", "after_ms"),
    [
        pytest.param("p95", {L: DeploymentHealth(p95_ms=1_234.5)}, ALL, 1_234, id="p95-of-the-first"),
        pytest.param("p95", {G: DeploymentHealth(p95_ms=1_234.5)}, ALL, None, id="nothing-known-of-the-first"),
        pytest.param("p95", {L: DeploymentHealth(p95_ms=0.1)}, ALL, 1, id="never-at-once"),
        pytest.param(800, {}, ALL, 800, id="milliseconds"),
        pytest.param(800, {}, [GPT], None, id="nobody-to-hedge-with"),
    ],
)
def test_hedges(hedge, health, deployments, after_ms):
    by = routing(default="h", policies={"h": {"hedge": hedge}})
    assert route(REQUEST, deployments, health, by=by).hedge_after_ms == after_ms
