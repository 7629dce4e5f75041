"""Which deployments a request gets, in which order, and what its sender hears when there is none."""

from dataclasses import replace
from datetime import timedelta

import pytest

from processors.classify.decide import Needs
from processors.health.fold import DeploymentHealth
from processors.route.decide import MAX_CANDIDATES
from processors.route.refusal import Unroutable
from schemas.requests import InferenceRequest, Message, Operation, Sampling, SpeedPriority
from tests.unit.route.cases import NOW, REQUEST, classified, deployment, names, prefer
from tests.unit.route.cases import route as routed

CHEAP = deployment("cheap", "p1", "1", tools=False)
MIDDLE = deployment("middle", "p2", "2", vision=True)
DEAR = deployment("dear", "p3", "3", json_mode=False, json_schema=False, context_tokens=1_000_000, max_output_tokens=64_000)
FREE_OF_PRICE = deployment("unpriced", "p4", None)
VECTORS = deployment("vectors", "p1", "1", operations=frozenset({Operation.EMBEDDINGS}))
ALL = (DEAR, VECTORS, FREE_OF_PRICE, CHEAP, MIDDLE)


def route(request: InferenceRequest = REQUEST, health: dict[str, DeploymentHealth] | None = None, deployments=ALL):
    return routed(request, deployments, health)


def test_cheapest_first_and_a_price_that_nobody_knows_last():
    assert names(route()) == ["cheap", "middle", "dear", "unpriced"]


def test_the_order_of_the_catalogue_does_not_matter():
    assert names(route(deployments=tuple(reversed(ALL)))) == names(route())


def test_the_name_breaks_ties():
    twins = [deployment(name) for name in ("b", "a", "c")]
    assert names(route(deployments=twins)) == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param({"model": "middle"}, ["middle"], id="a-deployments-name"),
        pytest.param({"model": "model-of-dear"}, ["dear"], id="a-model"),
        pytest.param({"operation": Operation.EMBEDDINGS, "messages": (), "input": ("x",)}, ["vectors"], id="embeddings"),
        pytest.param({"messages": (Message("user", "a" * 800_000),)}, ["dear"], id="long-input"),
        pytest.param(
            {"sampling": Sampling(max_output_tokens=200_000)}, ["cheap", "middle", "dear", "unpriced"], id="more-than-any-returns"
        ),
    ],
)
def test_what_can_take_the_request(changes, expected):
    assert names(route(replace(REQUEST, **changes))) == expected


@pytest.mark.parametrize(
    ("needs", "expected"),
    [
        pytest.param(Needs(tools=True), ["middle", "dear", "unpriced"], id="tools"),
        pytest.param(Needs(json_mode=True), ["cheap", "middle", "unpriced"], id="json"),
        pytest.param(Needs(json_schema=True), ["cheap", "middle", "unpriced"], id="schema"),
        pytest.param(Needs(vision=True), ["middle"], id="images"),
        pytest.param(Needs(vision=True, json_mode=True), ["middle"], id="images-and-json"),
    ],
)
def test_what_has_the_abilities(needs, expected):
    assert names(routed(classified(needs=needs), ALL)) == expected


@pytest.mark.parametrize(
    ("preferences", "expected"),
    [
        pytest.param({"provider": "p3"}, ["dear"], id="pin"),
        pytest.param({"providers": ("p3", "p1")}, ["dear", "cheap"], id="allowed-best-first"),
        pytest.param({"max_cost_nanousd": 9_000_000}, ["cheap", "middle"], id="max-cost-excludes-the-unpriced-too"),
    ],
)
def test_preferences(preferences, expected):
    assert names(route(prefer(**preferences))) == expected


OPEN = DeploymentHealth(failures_in_a_row=5, opened_at=NOW - timedelta(seconds=1))
HALF_OPEN = DeploymentHealth(failures_in_a_row=5, opened_at=NOW - timedelta(seconds=61))
LIMITED = DeploymentHealth(limited_until=NOW + timedelta(seconds=1))
SHAKY = DeploymentHealth(success_rate=0.5)


@pytest.mark.parametrize(
    ("health", "preferences", "expected"),
    [
        pytest.param({"cheap": OPEN}, {}, ["middle", "dear", "unpriced", "cheap"], id="open-last"),
        pytest.param(
            {"cheap": OPEN, "middle": HALF_OPEN, "dear": LIMITED}, {}, ["unpriced", "dear", "middle", "cheap"], id="degrees"
        ),
        pytest.param({d.name: OPEN for d in ALL}, {}, ["cheap", "middle", "dear", "unpriced"], id="all-open-excludes-none"),
        pytest.param({"dear": OPEN}, {"providers": ("p3", "p1")}, ["cheap", "dear"], id="health-before-the-senders-order"),
        pytest.param({"cheap": SHAKY}, {}, ["middle", "dear", "unpriced", "cheap"], id="balanced-avoids-the-shaky"),
        pytest.param(
            {"cheap": SHAKY},
            {"speed_priority": SpeedPriority.CHEAP},
            ["cheap", "middle", "dear", "unpriced"],
            id="cheap-does-not",
        ),
        pytest.param(
            {"dear": DeploymentHealth(latency_ms=10), "middle": DeploymentHealth(latency_ms=20)},
            {"speed_priority": SpeedPriority.FAST},
            ["dear", "middle", "cheap", "unpriced"],
            id="fast-by-measured-latency",
        ),
    ],
)
def test_health(health, preferences, expected):
    assert names(route(prefer(**preferences), health)) == expected


@pytest.mark.parametrize(
    ("asked", "deployment_", "bound"),
    [
        pytest.param(100, CHEAP, 100, id="the-requests"),
        pytest.param(None, CHEAP, 4_096, id="the-deployments"),
        pytest.param(10_000, CHEAP, 4_096, id="the-smaller"),
        pytest.param(None, replace(CHEAP, context_tokens=1_000), 992, id="what-the-context-leaves"),
    ],
)
def test_bounds_of_a_candidate(asked, deployment_, bound):
    outcome = route(replace(REQUEST, sampling=Sampling(max_output_tokens=asked)), deployments=[deployment_])
    candidate = outcome.candidates[0]
    assert candidate.output_tokens_bound == bound
    assert candidate.cost_bound_nanousd == (8 + bound) * 1_000, "a dollar a million tokens is 1,000 nano-dollars each"
    assert candidate.timeout_ms == 60_000


def test_candidates_are_bounded():
    many = [deployment(f"d{i:02}") for i in range(20)]
    assert names(route(deployments=many)) == [f"d{i:02}" for i in range(MAX_CANDIDATES)]


@pytest.mark.parametrize(
    ("request_", "deployments", "kind", "told", "retryable"),
    [
        pytest.param(REQUEST, (), "unroutable", "no deployment can be called", True, id="none-callable"),
        pytest.param(
            replace(REQUEST, model="gpt-x"), ALL, "unknown_model", "name or the model 'gpt-x'; ask for `auto`", False, id="model"
        ),
        pytest.param(prefer(provider="nobody"), ALL, "provider_not_available", "pinned to nobody", False, id="pin"),
        pytest.param(
            replace(REQUEST, messages=(Message("user", "a" * 8_000_000),)),
            ALL,
            "unroutable",
            "dear: its context of 1000000",
            False,
            id="both",
        ),
        pytest.param(
            replace(REQUEST, model="cheap", messages=(Message("user", "a" * 8_000_000),)),
            ALL,
            "context_too_long",
            "cheap: its context of 128000 tokens is less than the",
            False,
            id="context",
        ),
        pytest.param(
            prefer(max_cost_nanousd=1),
            (CHEAP,),
            "over_max_cost",
            "can cost $0.004104, and $0.000000001 is allowed",
            False,
            id="cost",
        ),
        pytest.param(
            prefer(provider="p1"),
            (VECTORS, DEAR),
            "unsupported",
            "vectors: does not offer chat",
            False,
            id="what-is-not-the-senders",
        ),
    ],
)
def test_unroutable(request_, deployments, kind, told, retryable):
    outcome = route(request_, deployments=deployments)
    assert isinstance(outcome, Unroutable)
    assert (outcome.kind, outcome.retryable) == (kind, retryable)
    assert told in outcome.message
    assert set(outcome.excluded) <= {d.name for d in deployments}


def test_a_json_object_goes_where_there_is_such_a_mode_and_is_rejected_where_there_is_none():
    schemas_only = deployment("claude", "p5", "0.1", json_mode=False)
    wanted = classified(needs=Needs(json_mode=True))
    assert names(routed(wanted, (schemas_only, MIDDLE))) == ["middle"]
    assert names(routed(classified(needs=Needs(json_schema=True)), (schemas_only, MIDDLE))) == ["claude", "middle"]
    outcome = routed(wanted, (schemas_only,))
    assert isinstance(outcome, Unroutable)
    told = "no deployment can take this request: claude: does not have a JSON mode (`json_object`)"
    assert (outcome.kind, outcome.message) == ("unsupported", f"{told}; ask for a `json_schema`, which it takes")


def test_every_deployment_that_was_asked_is_told_about():
    outcome = route(prefer(providers=("p3", "p1"), max_cost_nanousd=9_000_000), {"cheap": LIMITED})
    told = {s.deployment: (s.score, s.parts, s.lack, s.why) for s in outcome.scores}
    assert told == {
        "cheap": (None, {"cost_nanousd": 408_000, "ailing": 1.0}, None, None),
        "dear": (None, {}, "over_max_cost", "can cost $0.192024, and $0.009 is allowed"),
        "middle": (None, {}, "provider_not_available", "p2 is not among the providers that the request allows"),
        "unpriced": (None, {}, "provider_not_available", "p4 is not among the providers that the request allows"),
        "vectors": (None, {}, "unsupported", "does not offer chat"),
    }


def test_what_nobody_can_take_is_told_about_as_well():
    outcome = route(replace(REQUEST, model="vectors"))
    assert [(s.deployment, s.lack) for s in outcome.scores] == [("vectors", "unsupported")]
