"""What intake writes about a request, above all when it is due."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from processors.cache.key import identify
from processors.classify.decide import CLASSIFIER
from processors.route.assemble import Arrived, Terms, deadline_of, rejected, routed
from processors.route.decide import Routed
from processors.route.fit import Exclusion, Lack
from processors.route.plan import choose, plan
from processors.route.refusal import Unroutable
from schemas.calls import Output
from schemas.outcomes import ErrorInfo
from schemas.requests import CacheMode, CachePolicy, InferenceRequest, Message
from schemas.routing import CachedAnswer, Candidate, Fallback, Scored
from tests.unit.route.cases import book, classified, routing

AT = datetime(2026, 6, 1, tzinfo=UTC)
NOW = AT + timedelta(hours=1)
REQUEST = InferenceRequest("r", "t", "auto", messages=(Message("user", "hi"),), metadata={"a": "b"})
ARRIVED = Arrived(b"raw", AT, "t#2")
TERMS = Terms(timeout_s=600, cache_ttl_s=60)
CANDIDATE = Candidate("d", "p", "m", 1_000, 10)
SPLIT = {"a": {"weight": 1, "policy": "composite"}, "b": {"weight": 1, "policy": "latency"}}
CACHED = CachedAnswer(Output(content="4"), "p", "d", "m", AT)


def record_of(request, decision, terms=TERMS, *, by=None, **changes):
    asked = classified(request, **changes)
    chosen = choose(plan(by or routing(), (), book(())), asked)
    return routed(ARRIVED, asked, identify(request), decision, terms, chosen=chosen, now=NOW)


@pytest.mark.parametrize(
    ("asked", "due"),
    [
        pytest.param(None, AT + timedelta(seconds=600), id="from-the-records-timestamp"),
        pytest.param(AT + timedelta(seconds=5), AT + timedelta(seconds=5), id="as-the-sender-says"),
        pytest.param(datetime(1, 1, 1, tzinfo=UTC), AT, id="never-before-it-arrived"),
        pytest.param(datetime(9999, 12, 31, tzinfo=UTC), AT + timedelta(days=7), id="never-after-a-week"),
    ],
)
def test_deadline(asked, due):
    assert deadline_of(replace(REQUEST, deadline=asked), AT, 600) == due


@pytest.mark.parametrize(
    ("decision", "candidates", "cached", "rejection"),
    [
        pytest.param(Routed((CANDIDATE,)), (CANDIDATE,), None, None, id="routed"),
        pytest.param(CACHED, (), CACHED, None, id="cached"),
        pytest.param(Unroutable("k", "m", {}, retryable=True), (), None, ErrorInfo("k", "m", retryable=True), id="unroutable"),
    ],
)
def test_routed(decision, candidates, cached, rejection):
    identity = identify(REQUEST)
    record = record_of(REQUEST, decision)
    assert (record.candidates, record.cached, record.rejection) == (candidates, cached, rejection)
    assert (record.request, record.lane, record.body_digest) == (b"raw", "t#2", identity.body_digest)
    assert (record.cache_key, record.cache_ttl_s, record.policy) == (identity.cache_key, 60, "cheapest-healthy@1")
    assert (record.received_at, record.routed_at, record.deadline) == (AT, NOW, AT + timedelta(seconds=600))
    assert record.metadata == {"a": "b"}


def test_what_must_not_be_kept_has_neither_key_nor_ttl():
    request = replace(REQUEST, cache=CachePolicy(CacheMode.OFF))
    record = record_of(request, Routed((CANDIDATE,)))
    assert (record.cache_key, record.cache_ttl_s, record.flight_key) == (None, None, None)


def test_what_the_classifier_found_is_on_the_record():
    record = record_of(REQUEST, Routed((CANDIDATE,)), confidence=0.7, language="de", sensitivity=("pii",))
    assert (record.task_confidence, record.language, record.sensitivity) == (0.7, "de", ("pii",))
    assert record.classifier == CLASSIFIER


def test_what_routing_found_is_on_the_record():
    scores, fallback = (Scored("d", 0.5, {"price": 0.5}), Scored("e", lack="unsupported", why="does not")), Fallback(text="later")
    record = record_of(REQUEST, Routed((CANDIDATE,), scores, 250, fallback))
    assert (record.scores, record.hedge_after_ms, record.fallback) == (scores, 250, fallback)
    refused = record_of(REQUEST, Unroutable("k", "m", {"e": Exclusion(Lack.ABILITY, "does not")}))
    assert refused.scores == scores[1:]


@pytest.mark.parametrize("decision", [Routed((CANDIDATE,)), CACHED, Unroutable("k", "m", {})], ids=["routed", "cached", "not"])
def test_the_arm_is_stamped_whatever_becomes_of_the_request(decision):
    by = routing(default="ab", policies={"ab": {"arms": SPLIT}})
    found = {record_of(replace(REQUEST, request_id=str(i)), decision, by=by).arm for i in range(20)}
    assert found == {"a", "b"}
    assert {record_of(replace(REQUEST, request_id=str(i)), decision, by=by).policy for i in range(20)} == {
        "composite@1",
        "latency@1",
    }


@pytest.mark.parametrize(
    ("request_", "decision", "single_flight", "shares"),
    [
        pytest.param(REQUEST, Routed((CANDIDATE,)), True, True, id="shared"),
        pytest.param(REQUEST, Routed((CANDIDATE,)), False, False, id="switched-off"),
        pytest.param(REQUEST, CACHED, True, False, id="needs-no-call"),
        pytest.param(
            replace(REQUEST, cache=CachePolicy(CacheMode.REFRESH)), Routed((CANDIDATE,)), True, False, id="wants-a-fresh-answer"
        ),
        pytest.param(replace(REQUEST, cache=CachePolicy(CacheMode.OFF)), Routed((CANDIDATE,)), True, False, id="wants-no-cache"),
    ],
)
def test_who_shares_a_call(request_, decision, single_flight, shares):
    record = record_of(request_, decision, replace(TERMS, single_flight=single_flight))
    assert record.flight_key == (identify(request_).cache_key if shares else None)


@pytest.mark.parametrize("request_", [None, replace(REQUEST, model="m" * 10_000)], ids=["unreadable", "absurd"])
def test_rejected_carries_nothing_that_may_be_wrong(request_):
    record = rejected(ARRIVED, ErrorInfo("invalid", "why"), TERMS, request_id="r", tenant="t", request=request_, now=NOW)
    assert (record.request, record.metadata, record.candidates) == (b"", {}, ())
    assert (record.request_id, record.rejection, len(record.body_digest)) == ("r", ErrorInfo("invalid", "why"), 32)
    assert len(record.request_model) <= 256
