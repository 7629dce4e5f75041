"""What intake writes about a request, above all when it is due."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from processors.cache.key import identify
from processors.classify import decide as classify
from processors.route.assemble import Arrived, Terms, deadline_of, rejected, routed
from processors.route.decide import POLICY, Routed, Unroutable
from schemas.calls import Output
from schemas.outcomes import ErrorInfo
from schemas.requests import CacheMode, CachePolicy, InferenceRequest, Message
from schemas.routing import CachedAnswer, Candidate

AT = datetime(2026, 6, 1, tzinfo=UTC)
NOW = AT + timedelta(hours=1)
REQUEST = InferenceRequest("r", "t", "auto", messages=(Message("user", "hi"),), metadata={"a": "b"})
ARRIVED = Arrived(b"raw", AT, "t#2")
TERMS = Terms(timeout_s=600, cache_ttl_s=60)
CANDIDATE = Candidate("d", "p", "m", 1_000, 10)
CACHED = CachedAnswer(Output(content="4"), "p", "d", "m", AT)


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
    record = routed(ARRIVED, classify.decide(REQUEST), identity, decision, TERMS, now=NOW)
    assert (record.candidates, record.cached, record.rejection) == (candidates, cached, rejection)
    assert (record.request, record.lane, record.body_digest) == (b"raw", "t#2", identity.body_digest)
    assert (record.cache_key, record.cache_ttl_s, record.policy) == (identity.cache_key, 60, POLICY)
    assert (record.received_at, record.routed_at, record.deadline) == (AT, NOW, AT + timedelta(seconds=600))
    assert record.metadata == {"a": "b"}


def test_what_must_not_be_kept_has_neither_key_nor_ttl():
    request = replace(REQUEST, cache=CachePolicy(CacheMode.OFF))
    record = routed(ARRIVED, classify.decide(request), identify(request), Routed((CANDIDATE,)), TERMS, now=NOW)
    assert (record.cache_key, record.cache_ttl_s) == (None, None)


@pytest.mark.parametrize("request_", [None, replace(REQUEST, model="m" * 10_000)], ids=["unreadable", "absurd"])
def test_rejected_carries_nothing_that_may_be_wrong(request_):
    record = rejected(ARRIVED, ErrorInfo("invalid", "why"), TERMS, request_id="r", tenant="t", request=request_, now=NOW)
    assert (record.request, record.metadata, record.candidates) == (b"", {}, ())
    assert (record.request_id, record.rejection, len(record.body_digest)) == ("r", ErrorInfo("invalid", "why"), 32)
    assert len(record.request_model) <= 256
