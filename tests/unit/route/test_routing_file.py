"""The operator's section `routing`: what it means, and what is wrong with it."""

import io
import re
from collections import Counter
from dataclasses import replace
from importlib.resources import files

import numpy as np
import pytest
import yaml

from processors.classify.complexity import Complexity
from processors.classify.kinds import TaskKind
from processors.route.catalogue import parse
from processors.route.plan import blind_selectors, choose, plan
from processors.route.presets import PRESETS
from schemas.errors import SettingsError
from schemas.policies import Policy, Routing
from schemas.requests import Operation
from streams.agents.routing import load_gains, load_plan
from streams.embedding.wordllama import WordLlama
from streams.prices import load_prices
from streams.settings import Settings
from tests.contract.documentation import ROOT
from tests.unit.route.cases import FILE, REQUEST, book, classified, deployment, routing

TWO_ARMS = {"a": {"weight": 9, "policy": "composite"}, "b": {"weight": 1, "policy": "latency"}}


def label(by: Routing, request=REQUEST, **changes):
    return choose(plan(by, (), book(())), classified(request, **changes)).policy


def test_without_the_section_it_is_the_cheapest_healthy():
    assert parse(FILE, source="x").routing == Routing() == routing()
    assert label(routing()) == "cheapest-healthy@1"


@pytest.mark.parametrize("preset", [name for name in PRESETS if name not in {"weighted", "quality-per-cost", "environment"}])
def test_every_preset_stands_by_its_name(preset):
    assert label(routing(default=preset)) == f"{preset}@1"


RULES = [
    {"tenant": "acme", "task_kind": ["coding", "math"], "policy": "latency"},
    {"tenant": ["acme", "birch"], "policy": "composite"},
    {"operation": "embeddings", "policy": "least-busy"},
    {"complexity": "high", "policy": "rules"},
    {"sensitivity": "pii", "policy": "round-robin"},
]


@pytest.mark.parametrize(
    ("request_", "changes", "expected"),
    [
        pytest.param({"tenant": "acme"}, {"task_kind": TaskKind.MATH}, "latency", id="tenant-and-kind"),
        pytest.param({"tenant": "acme"}, {"task_kind": TaskKind.CHAT}, "composite", id="the-first-that-fits"),
        pytest.param({"tenant": "birch"}, {"task_kind": TaskKind.MATH}, "composite", id="of-several-tenants"),
        pytest.param({}, {"operation": Operation.EMBEDDINGS}, "least-busy", id="operation"),
        pytest.param({}, {"complexity": Complexity.HIGH}, "rules", id="complexity"),
        pytest.param({}, {"sensitivity": ("health", "pii")}, "round-robin", id="sensitivity"),
        pytest.param({}, {"sensitivity": ("health",)}, "cheapest", id="else-the-default"),
    ],
)
def test_rules(request_, changes, expected):
    assert label(routing(default="cheapest", rules=RULES), replace(REQUEST, **request_), **changes) == f"{expected}@1"


def test_a_label_follows_the_definition():
    own = {"scorers": {"price": 1.0}}
    first = label(routing(default="own", policies={"own": own}))
    assert re.fullmatch(r"own@1-[0-9a-f]{6}", first)
    assert label(routing(default="own", policies={"own": own | {"preset": "composite"}})) == first, "the same definition"
    assert label(routing(default="own", policies={"own": own | {"version": 2}})) == first.replace("@1", "@2")
    assert label(routing(default="own", policies={"own": own | {"hedge": "p95"}})) != first
    in_a_rule = label(routing(rules=[{"policy": "composite", "scorers": {"success": 1}}]))
    assert re.fullmatch(r"composite@1-[0-9a-f]{6}", in_a_rule)


def test_what_is_given_replaces_what_it_starts_from():
    by = routing(
        policies={"own": {"preset": "composite", "slow_ms": 2_000, "filters": {"only": "a"}}},
        rules=[{"policy": "own", "filters": {"without": "b"}}],
    )
    (rule,) = by.rules
    assert isinstance(rule.chosen, Policy)
    assert dict(rule.chosen.scorers) == PRESETS["composite"]["scorers"]
    assert (rule.chosen.slow_ms, rule.chosen.filters.only, rule.chosen.filters.without) == (2_000, (), ("b",))


@pytest.mark.parametrize(
    ("section", "told"),
    [
        ({"defualt": "x"}, "routing.defualt: is no key of this file"),
        ({"default": "fastest"}, "routing.default: names the policy 'fastest'; there are cheapest-healthy, cheapest,"),
        ({"rules": [{"tenant": "a"}]}, "routing.rules[0].policy: is missing"),
        ({"rules": [{"policy": "x"}]}, "routing.rules[0]: names the policy 'x'"),
        ({"rules": [{"policy": "rules", "task_kind": "sing"}]}, "routing.rules[0].task_kind[0]: Input should be 'writing'"),
        ({"rules": [{"policy": "rules", "operation": 5}]}, "routing.rules[0].operation"),
        ({"policies": {"latency": {}}}, "routing.policies.latency: is the name of a preset; give yours another"),
        ({"policies": {"Mine": {}}}, "routing.policies.Mine"),
        (
            {"policies": {"p": {"preset": "nice"}}},
            "routing.policies.p.preset: there is no preset 'nice'; choose of cheapest-healthy",
        ),
        ({"policies": {"p": {"scorers": {"luck": 1}}}}, "routing.policies.p.scorers.luck"),
        ({"policies": {"p": {"scorers": {"price": -1}}}}, "routing.policies.p.scorers.price: Input should be greater than 0"),
        ({"policies": {"p": {"scorers": {"price": float("nan")}}}}, "routing.policies.p.scorers.price"),
        ({"policies": {"p": {"hedge": "p12"}}}, "routing.policies.p.hedge"),
        ({"policies": {"p": {"hedge": 0}}}, "routing.policies.p.hedge"),
        ({"policies": {"p": {"filters": {"max_cost_usd": -1}}}}, "routing.policies.p.filters.max_cost_usd"),
        ({"policies": {"p": {"fallbacks": {"text": ""}}}}, "routing.policies.p.fallbacks.text"),
        ({"policies": {"p": {"preset": "weighted"}}}, "routing.policies.p.shares: is missing: the scorer `share` needs it"),
        ({"default": "weighted"}, "routing.default.shares: is missing"),
        ({"policies": {"p": {"preset": "quality-per-cost", "weak": "a"}}}, "routing.policies.p.strong: is missing"),
        ({"policies": {"p": {"target_quality": 1.5}}}, "routing.policies.p.target_quality"),
        ({"policies": {"p": {"shares": {"a": 1}}}}, "routing.policies.p.shares: is of the scorer `share`"),
        ({"policies": {"p": {"shares": {}}}}, "routing.policies.p.shares: Dictionary should have at least 1 item"),
        ({"policies": {"p": {"salt": "s"}}}, "routing.policies.p.salt: is of an experiment"),
        (
            {"policies": {"p": {"arms": {"a": {"weight": 1, "policy": "rules"}}}}},
            "routing.policies.p.arms: Dictionary should have",
        ),
        ({"policies": {"p": {"arms": TWO_ARMS | {"b": {"weight": 0, "policy": "rules"}}}}}, "routing.policies.p.arms.b.weight"),
        ({"policies": {"p": {"arms": TWO_ARMS | {"b": {"weight": 1}}}}}, "routing.policies.p.arms.b.policy: is missing"),
        ({"policies": {"p": {"arms": TWO_ARMS | {"b": {"weight": 1, "policy": "p"}}}}}, "names p, which has arms itself"),
        ({"policies": {"p": {"arms": TWO_ARMS, "preset": "rules"}}}, "routing.policies.p: takes either `preset` or `arms`"),
        ({"policies": {"p": {"arms": TWO_ARMS, "hedge": "p95"}}}, "`hedge` cannot stand beside `arms`"),
        ({"policies": {"p": {"arms": TWO_ARMS}}, "rules": [{"policy": "p", "hedge": 5}]}, "`hedge` cannot change an experiment"),
    ],
    ids=lambda value: value[:60] if isinstance(value, str) else None,
)
def test_what_is_wrong_is_named(section, told):
    with pytest.raises(SettingsError) as raised:
        routing(**section)
    assert told in str(raised.value)
    assert str(raised.value).startswith("x")


def arms(sticky="request", salt=None, count=2_000, **changes):
    policies = {"ab": {"arms": TWO_ARMS, "sticky": sticky} | ({} if salt is None else {"salt": salt})}
    planned = plan(routing(default="ab", policies=policies), (), book(()))
    requests = [replace(REQUEST, request_id=str(i), **changes) for i in range(count)]
    return [choose(planned, classified(request)) for request in requests]


def test_arms_get_their_share_and_their_policy():
    found = Counter((chosen.arm, chosen.policy) for chosen in arms())
    assert set(found) == {("a", "composite@1"), ("b", "latency@1")}
    assert 150 < found["b", "latency@1"] < 250


def test_the_same_request_is_always_in_the_same_arm_and_another_salt_deals_anew():
    first = [chosen.arm for chosen in arms()]
    assert [chosen.arm for chosen in arms()] == first
    assert [chosen.arm for chosen in arms(salt="2")] != first


@pytest.mark.parametrize(
    ("sticky", "who", "together"),
    [
        ("tenant", {}, True),
        ("user", {"user": "ada"}, True),
        ("user", {"session": "s"}, True),
        ("user", {}, False),
        ("session", {"session": "s"}, True),
        ("session", {"user": "ada"}, False),
        ("request", {"user": "ada", "session": "s"}, False),
    ],
)
def test_what_sticks_to_an_arm(sticky, who, together):
    assert (len({chosen.arm for chosen in arms(sticky, count=200, **who)}) == 1) is together


def test_arms_take_parameters():
    policies = {"ab": {"arms": TWO_ARMS | {"b": {"weight": 1, "policy": "latency", "hedge": "p95"}}}}
    planned = plan(routing(default="ab", policies=policies), (), book(()))
    found = {choose(planned, classified(replace(REQUEST, request_id=str(i)))).policy for i in range(100)}
    plain, changed = sorted(found)
    assert plain == "composite@1"
    assert re.fullmatch(r"latency@1-[0-9a-f]{6}", changed)


def test_selectors_that_name_nothing_are_told_of():
    own = {"filters": {"only": ["openai", "opnai"]}, "fallbacks": {"models": "gpt-9"}}
    by = routing(policies={"own": own, "unused": {"filters": {"only": "x"}}}, rules=[{"policy": "own"}], default="rules")
    (found,) = blind_selectors(by, [deployment("a", "openai")]).values()
    assert found == ("opnai", "gpt-9")


def test_the_learned_model_is_part_of_the_label():
    class Gains:
        version = "g7"

        def threshold(self, _):
            return 0.5

    by = routing(default="q", policies={"q": {"preset": "quality-per-cost", "weak": "m", "strong": "m"}})
    planned = plan(by, (), book(()), gains=Gains())
    assert re.fullmatch(r"q@1-[0-9a-f]{6}\+g7", choose(planned, classified()).policy)


def test_the_environment_comes_from_the_settings():
    catalogue = parse(FILE | {"routing": {"default": "environment"}}, source="x")
    settings = Settings(_env_file=None, environment="production")
    prices = load_prices(settings, catalogue)
    assert load_plan(settings, catalogue, catalogue.deployments, prices).deployments == catalogue.deployments
    with pytest.raises(SettingsError, match="PENSTOCK_ENVIRONMENT"):
        load_plan(Settings(_env_file=None), catalogue, catalogue.deployments, prices)


def _other_npz() -> bytes:
    saved = io.BytesIO()
    np.savez(saved, a=np.zeros(1))
    return saved.getvalue()


QUALITY = {"q": {"preset": "quality-per-cost", "weak": "m", "strong": "m"}}


@pytest.mark.parametrize(
    ("section", "asked"),
    [
        pytest.param({"default": "q", "policies": QUALITY}, True, id="default"),
        pytest.param({"rules": [{"tenant": "t", "policy": "q"}], "policies": QUALITY}, True, id="rule"),
        pytest.param({"policies": QUALITY}, False, id="not-used"),
    ],
)
def test_the_model_is_loaded_when_a_policy_asks_for_it(section, asked, tmp_path):
    absent = Settings(_env_file=None, quality_model_file=tmp_path / "absent.npz")
    if asked:
        with pytest.raises(SettingsError, match="correct PENSTOCK_QUALITY_MODEL_FILE"):
            load_gains(absent, routing(**section), "any")
    else:
        assert load_gains(absent, routing(**section), "any") is None


@pytest.mark.parametrize("content", [b"", b"PK", b"nonsense", _other_npz()], ids=["empty", "cut", "nonsense", "another-npz"])
def test_a_file_that_is_no_model(content, tmp_path):
    path = tmp_path / "model.npz"
    path.write_bytes(content)
    with pytest.raises(SettingsError, match="correct PENSTOCK_QUALITY_MODEL_FILE"):
        load_gains(Settings(_env_file=None, quality_model_file=path), routing(default="q", policies=QUALITY), "any")


def test_the_built_in_model_judges_what_the_embedder_makes():
    embedder = WordLlama()
    gains = load_gains(Settings(_env_file=None), routing(default="q", policies=QUALITY), embedder.name)
    text = "Prove that the square root of two is irrational."
    (vector,) = embedder.embed([text])
    assert gains.gain(text, vector) == gains.gain(text, vector)
    assert gains.threshold(0.95) <= gains.threshold(0.5), "who wants more quality asks the strong one more often"


def test_routing_does_not_change_the_version_that_prices_carry():
    assert parse(FILE, source="x").version == parse(FILE | {"routing": {"default": "rules"}}, source="x").version


def test_what_the_documentation_shows_is_read():
    page = (ROOT / "docs" / "routing.md").read_text("utf-8")
    shown = re.findall(r"^```yaml\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert len(shown) >= 3
    for block in shown:
        parse(FILE | yaml.safe_load(block), source=block)
    assert set(re.findall(r"^\| `([a-z-]+)` \|", page, re.MULTILINE)) >= set(PRESETS)


def test_what_the_built_in_file_shows_is_read():
    text = files("streams").joinpath("defaults", "deployments.yaml").read_text("utf-8")
    shown = "\n".join(line.removeprefix("# ") for line in text[text.index("\n# routing:\n") :].splitlines())
    by = parse(FILE | yaml.safe_load(shown), source="x").routing
    assert label(by) == "composite@1"
    assert len(by.rules) == 1
