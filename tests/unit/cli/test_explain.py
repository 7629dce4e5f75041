"""What `penstock explain` tells of a log: the whole way of one request, and of no other."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from schemas.calls import Billing, CallOrdered, CallPhase, Failure, FailureKind, Output, Usage, UsageSource
from schemas.errors import SettingsError
from schemas.ledger import CostKind, PricingStatus
from schemas.outcomes import CacheState, ErrorInfo, ResponseStatus
from schemas.requests import Operation
from schemas.routing import CachedAnswer, Candidate, CandidateUse, Fallback, RequestRouted, Scored
from streams import clock, topics
from streams.beginning import At, Beginning
from streams.cli.explaining import Wanted
from streams.decoding import decode, dumps
from streams.lineage.collected import Seen, lineages
from streams.lineage.page import page
from tests.fakes.hand_made_log import T0, HandMadeLog, clean_log, cost, dead_letter, final, one_answer, report, request

GPT, CLAUDE, LLAMA = "openai/gpt-4o-mini", "anthropic/claude", "ollama/llama"
LATER = T0 + timedelta(seconds=1)


def decision(log, request_id, *, tenant="acme", **changes):
    """A decision as intake would have written it, in the log."""
    asked = request(request_id, tenant=tenant)
    fields = {
        "request_id": request_id,
        "tenant": tenant,
        "lane": tenant,
        "request": log.serde.encode(asked),
        "body_digest": b"d" * 32,
        "operation": Operation.CHAT,
        "request_model": asked.model,
        "task_kind": "coding",
        "task_confidence": 0.93,
        "complexity": "medium",
        "language": "en",
        "input_tokens_estimate": 1_200,
        "policy": "composite@1-ab12cd",
        "received_at": T0,
        "routed_at": T0,
        "deadline": T0 + timedelta(seconds=600),
    }
    log.add(topics.ROUTED, tenant, RequestRouted(**(fields | changes)))


def order(request_id, attempt=1, deployment=GPT, **changes):
    fields = {"tenant": "acme", "lane": "acme", "deployment": deployment, "provider": "p", "model": "m"}
    sizes = {"request": b"", "input_tokens_estimate": 1, "output_tokens_bound": 1, "stream": False, "timeout_ms": 1}
    times = {"operation": Operation.CHAT, "ordered_at": T0, "deadline": LATER}
    return CallOrdered(request_id, attempt, **(fields | sizes | times | changes))


def seen(log: HandMadeLog):
    for line in log.lines():
        at = clock.from_kafka_ms(line.timestamp)
        yield Seen(line.topic, line.partition, line.offset, at, decode(log.serde, line.value), line.key)


def test_a_request_without_a_tenant_is_its_keys():
    log = HandMadeLog()
    log.add(topics.REQUESTS, "acme", replace(request("r1"), tenant=""))
    log.add(topics.RESPONSES, "r1", final("r1"))
    (lineage,) = lineages(seen(log), "r1")
    assert (lineage.tenant, lineage.state, len(lineage.seen["requests"])) == ("acme", "finished", 1)


def told(log: HandMadeLog, request_id: str, tenant=None) -> str:
    (lineage,) = lineages(seen(log), request_id, tenant=tenant)
    return "\n".join(page(lineage))


def candidate(deployment, bound, **changes):
    return Candidate(deployment, deployment.split("/")[0], "m", 1_000, 10, cost_bound_nanousd=bound, **changes)


def test_a_finished_request():
    log = HandMadeLog()
    log.add(topics.REQUESTS, "acme", request("r1"))
    candidates = (candidate(GPT, 20_000_000, score=0.9), candidate(LLAMA, 0, use=CandidateUse.FALLBACK))
    scores = (
        Scored(GPT, 0.9, {"success": 0.4, "price": 0.5}),
        Scored(LLAMA),
        Scored(CLAUDE, lack="unsupported", why="does not take images"),
    )
    decision(log, "r1", candidates=candidates, scores=scores, arm="b", hedge_after_ms=1_500, fallback=Fallback(text="later"))
    log.add(topics.calls("openai"), "k", order("r1"))
    log.add(topics.ATTEMPTS, "acme", report("r1", "c1", CallPhase.STARTED))
    refused = Failure(FailureKind.RATE_LIMITED, "slow down", Billing.NOT_BILLED, http_status=429)
    log.add(topics.ATTEMPTS, "acme", report("r1", "c1", CallPhase.FAILED, failure=refused))
    log.add(topics.COSTS, "acme", cost("r1", "c1", None, pricing_status=PricingStatus.NOT_BILLED))
    usage = Usage(1_000, 500)
    log.add(topics.calls("openai"), "k", order("r1", 2, hedge=True))
    log.add(topics.ATTEMPTS, "acme", report("r1", "c2", CallPhase.STARTED, attempt=2))
    done = report("r1", "c2", CallPhase.COMPLETED, attempt=2, usage=usage, output=Output("hi"), latency_ms=840)
    log.add(topics.ATTEMPTS, "acme", done)
    log.add(topics.COSTS, "acme", cost("r1", "c2", usage, attempt=2, pricing_status=PricingStatus.PRICED))
    ended = replace(final("r1", call_id="c2"), deployment=GPT, attempts=2, cost_nanousd=225_000)
    log.add(topics.RESPONSES, "r1", ended, at=LATER)
    assert told(log, "r1").splitlines() == [
        "request     r1 of acme: chat for gpt-4o-mini, 1 message",
        "            2026-01-31 15:59:00.000Z  ai.requests[0]@0",
        "            lane acme, deadline 2026-01-31 16:09:00.000Z",
        "classified  coding (0.93), medium complexity, language en, about 1,200 input tokens",
        "cache       not asked, and nothing is kept",
        "policy      composite@1-ab12cd, arm b",
        "            a second call goes out after 1.50 s",
        "            when no call answers: a fixed text",
        "            1.  openai/gpt-4o-mini  0.9000  at most $0.02  success 0.4, price 0.5",
        "            2.  ollama/llama                fallback  at most $0.00",
        "            -   anthropic/claude            excluded, unsupported: does not take images",
        "call 1      openai/gpt-4o-mini, ordered 2026-01-31 15:59:00.000Z, call c1",
        "            failed: rate_limited (HTTP 429): slow down",
        "            cost $0.00 (not_billed)",
        "call 2      openai/gpt-4o-mini, ordered 2026-01-31 15:59:00.000Z as a hedge, call c2",
        "            completed after 840 ms, 1,000 tokens in, 500 out",
        "            cost $0.000225 (priced)",
        "final       ok from openai/gpt-4o-mini after 1.00 s, 2 attempts, $0.000225",
    ]


def test_an_open_request():
    log = HandMadeLog()
    log.add(topics.REQUESTS, "acme", request("r1"))
    assert "routed      not yet: no decision stands in the log" in told(log, "r1")
    decision(log, "r1", candidates=(candidate(GPT, None),), cache_key="k", cache_ttl_s=60, flight_key="k")
    log.add(topics.calls("openai"), "k", order("r1"))
    text = told(log, "r1")
    assert "cache       no answer was kept; the answer may be kept for 60 s" in text
    assert "shares the call of an identical open request" in text
    assert "1.  openai/gpt-4o-mini    at most price unknown" in text
    assert "call 1      openai/gpt-4o-mini, ordered 2026-01-31 15:59:00.000Z, not taken by a worker yet" in text
    log.add(topics.ATTEMPTS, "acme", report("r1", "c1", CallPhase.STARTED))
    assert "started 2026-01-31 15:59:00.000Z, nothing more was heard" in told(log, "r1")
    assert "final       none yet: the request is open" in told(log, "r1")


def test_a_cached_request():
    log = HandMadeLog()
    log.add(topics.REQUESTS, "acme", request("r4"))
    cached = CachedAnswer(Output("4"), "openai", GPT, "m", T0, request_id="r1", similarity=0.97)
    decision(log, "r4", cached=cached, cache_key="k", cache_ttl_s=60)
    hit = replace(cost("r4", "x", None), kind=CostKind.CACHE_HIT, event_id="e", call_id=None, avoided_nanousd=900)
    log.add(topics.COSTS, "acme", replace(hit, pricing_status=PricingStatus.NOT_BILLED))
    log.add(topics.RESPONSES, "r4", replace(final("r4", cache=CacheState.SEMANTIC), attempts=0, deployment=GPT, served_by="r1"))
    text = told(log, "r4")
    assert f"answered: the answer to r1 of {GPT}, kept 2026-01-31 15:59:00.000Z, similar with a probability of 0.97" in text
    assert "cost        $0.00, $0.0000009 avoided" in text
    assert "final       ok from openai/gpt-4o-mini after 1.00 s, 0 attempts, nothing was paid" in text
    assert "the answer is that of r1" in text
    assert "call 1" not in text


def test_a_rejected_request():
    log = HandMadeLog()
    error = ErrorInfo("unsupported", "no deployment can take this request")
    decision(log, "r5", rejection=error, scores=(Scored(GPT, lack="unsupported", why="does not take tools"),))
    log.add(topics.DEAD_LETTERS, "k", replace(dead_letter(0, b""), request_id="r5", tenant="acme"))
    log.add(topics.RESPONSES, "r5", replace(final("r5", status=ResponseStatus.ERROR, error=error), attempts=0))
    text = told(log, "r5")
    assert "rejected: unsupported: no deployment can take this request" in text
    assert "-  openai/gpt-4o-mini    excluded, unsupported: does not take tools" in text
    assert "dead letter bad_magic at intake: not Avro" in text
    assert "cache" not in text
    assert "final       error after 1.00 s, 0 attempts, nothing was paid" in text


def test_a_lost_call_and_what_was_sent_twice():
    text = told(clean_log(), "r3")
    assert "call 1      openai/gpt-4o-mini, call c4" in text
    assert "cost $0.000009 (priced), estimated, wasted" in text
    assert "call 1      openai/gpt-4o-mini, call c5" in text
    again = told(clean_log(), "r1", "acme")
    assert "published 2 times" in again
    assert "notice: duplicate" in again


def test_an_adjusted_cost():
    log = HandMadeLog()
    one_answer(log, "r1", "c1")
    adjusted = replace(cost("r1", "c1", Usage(1, 1, source=UsageSource.REPORTED)), kind=CostKind.ADJUSTED, cost_nanousd=-5)
    log.add(topics.COSTS, "acme", replace(adjusted, pricing_status=PricingStatus.PRICED))
    assert "adjusted by -$0.000000005 (priced)" in told(log, "r1")


def test_tenants_may_use_the_same_id():
    found = lineages(seen(clean_log()), "r1")
    assert [lineage.tenant for lineage in found] == ["acme", "globex"]
    assert {record.tenant for kind in found[1].seen.values() for record in (s.record for s in kind)} == {"globex"}
    assert [lineage.tenant for lineage in lineages(seen(clean_log()), "r1", tenant="globex")] == ["globex"]


@pytest.mark.parametrize(("request_id", "tenant"), [("r", None), ("r1", "nobody"), ("hello", None), ("", None)])
def test_what_the_log_does_not_know(request_id, tenant):
    assert lineages(seen(clean_log()), request_id, tenant=tenant) == []


def test_as_json_it_is_every_record_with_its_place():
    log = clean_log()
    (lineage,) = lineages(seen(log), "r2")
    found = json.loads(dumps(lineage.as_json(), log.serde))
    assert (found["request_id"], found["tenant"], found["state"]) == ("r2", "acme", "finished")
    assert {kind: len(found[kind]) for kind in ("requests", "decisions", "orders", "calls", "costs", "responses")} == {
        "requests": 1,
        "decisions": 0,
        "orders": 0,
        "calls": 4,
        "costs": 2,
        "responses": 1,
    }
    assert found["calls"][0]["topic"] == topics.ATTEMPTS
    assert found["calls"][1]["record"]["failure"]["kind"] == "rate_limited"


def test_from_when_it_reads():
    assert Wanted.of("r", tenant=None, since=None).start == Beginning()
    assert isinstance(Wanted.of("r", tenant=None, since="2026-01-31").start, At)
    with pytest.raises(SettingsError, match="--since takes a time"):
        Wanted.of("r", tenant=None, since="yesterday")
