"""The input counts as what a call of that provider and model was seen to take: for the context, the price, and the charge."""

from dataclasses import replace

from processors.route.contenders import View
from processors.route.decide import Routed, decide
from processors.route.plan import choose, plan
from processors.route.refusal import Unroutable
from schemas.policies import Routing
from schemas.requests import Sampling
from tests.unit.route.cases import NOW, REQUEST, book, classified, deployment, names, prefer

CHEAP = deployment("cheap", "p1", "1", context_tokens=10_000)
DEAR = deployment("dear", "p2", "1.2", context_tokens=10_000)
HALF_MORE = {("p1", "model-of-cheap"): 1.5}


def route(factors, request=REQUEST, *, tokens=1_000, deployments=(CHEAP, DEAR)) -> Routed | Unroutable:
    asked = classified(replace(request, sampling=Sampling(max_output_tokens=10)), input_tokens_estimate=tokens)
    planned = plan(Routing(), deployments, book(deployments))
    return decide(asked, planned, choose(planned, asked), View({}, factors=factors), now=NOW)


def test_without_calibration_the_estimate_is_the_bound():
    outcome = route({})
    assert names(outcome) == ["cheap", "dear"]
    assert [c.input_tokens_bound for c in outcome.candidates] == [None, None]


def test_a_model_that_takes_more_tokens_costs_more_and_says_by_what_it_was_reckoned():
    outcome = route(HALF_MORE)
    assert names(outcome) == ["dear", "cheap"]
    dear, cheap = outcome.candidates
    assert (dear.input_tokens_bound, cheap.input_tokens_bound) == (None, 1_500)
    assert cheap.cost_bound_nanousd == 1_510 * 1_000
    assert {s.deployment: s.parts["cost_nanousd"] for s in outcome.scores}["cheap"] == 1_510 * 1_000


def test_the_factor_of_another_provider_or_model_says_nothing():
    outcome = route({("p2", "model-of-cheap"): 9.0, ("p1", "another"): 9.0})
    assert [c.input_tokens_bound for c in outcome.candidates] == [None, None]


def test_a_bound_on_cost_holds_for_the_input_as_it_may_be_billed():
    bounded = prefer(max_cost_nanousd=1_400_000)
    assert names(route({}, bounded)) == ["cheap", "dear"]
    assert names(route(HALF_MORE, bounded)) == ["dear"]


def test_an_input_that_may_not_fit_the_context_goes_elsewhere():
    assert names(route({}, tokens=8_000)) == ["cheap", "dear"]
    outcome = route(HALF_MORE, tokens=8_000)
    assert names(outcome) == ["dear"]
    assert "less than the 12010 that the request takes" in next(s.why for s in outcome.scores if s.deployment == "cheap")
    assert isinstance(route(HALF_MORE, tokens=8_000, deployments=(CHEAP,)), Unroutable)
