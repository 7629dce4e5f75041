"""Promise of the checker: a clean log is clean, and each break that could be planted is found, by its name."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from schemas.calls import Billing, CallPhase, Failure, FailureKind, Usage
from schemas.ledger import PricingStatus
from streams import topics
from streams.verify.extract import Extract
from streams.verify.verdict import ProblemKind
from tests.fakes.hand_made_log import (
    T0,
    HandMadeLog,
    clean_log,
    cost,
    dead_letter,
    final,
    one_answer,
    report,
    request,
)
from tests.unit.verify.checking import LATER_US, check, kinds


def test_a_clean_log_is_clean(tmp_path: Path) -> None:
    tally = check(clean_log(), tmp_path)
    assert tally.first(10) == ()
    assert (tally.acknowledged, tally.final, tally.missing, tally.repeats) == (6, 6, 0, 1)
    assert (tally.calls_started, tally.cost_events, tally.cache_hits) == (6, 6, 1)
    assert (tally.estimated, tally.wasted, tally.duplicate_calls, tally.dead_letters) == (1, 1, 1, 2)
    assert (tally.totals, tally.cost_nanousd) == (2, 150 * (15 * 4 + 60))
    assert tally.ledger_input_tokens == tally.provider_input_tokens == 40


def missing_final(log: HandMadeLog) -> None:
    log.drop(log.of(topics.RESPONSES)[0])


def double_final(log: HandMadeLog) -> None:
    log.add(topics.RESPONSES, "r1", final("r1", call_id="c1", answered_at=T0 + timedelta(seconds=9)))


def unknown_final(log: HandMadeLog) -> None:
    log.add(topics.RESPONSES, "nobody", final("nobody"))


def final_of_another_tenant(log: HandMadeLog) -> None:
    first = log.of(topics.RESPONSES)[0]
    log.swap(first, replace(first, tenant="initech"))


def missing_cost_event(log: HandMadeLog) -> None:
    log.drop(log.of(topics.COSTS)[0])


def missing_cost_event_and_total_in_step(log: HandMadeLog) -> None:
    log.drop(log.of(topics.COSTS)[0])
    log.records = [entry for entry in log.records if entry[0] != topics.COST_TOTALS]
    log.write_totals()


def double_cost_event(log: HandMadeLog) -> None:
    log.add(topics.COSTS, "acme", log.of(topics.COSTS)[0])


def cost_without_start(log: HandMadeLog) -> None:
    log.add(topics.COSTS, "acme", cost("r1", "ghost", Usage(1, 1), pricing_status=PricingStatus.PRICED, estimated=True))


def cost_for_another_request(log: HandMadeLog) -> None:
    first = log.of(topics.COSTS)[0]
    log.swap(first, replace(first, request_id="r2"))


def total_off_by_one_nanodollar(log: HandMadeLog) -> None:
    last = log.of(topics.COST_TOTALS)[-1]
    log.swap(last, replace(last, cost_nanousd=last.cost_nanousd + 1))


def total_off_by_one_token(log: HandMadeLog) -> None:
    last = log.of(topics.COST_TOTALS)[-1]
    log.swap(last, replace(last, cache_read_input_tokens=last.cache_read_input_tokens - 1))


def total_missing(log: HandMadeLog) -> None:
    log.records = [entry for entry in log.records if entry[0] != topics.COST_TOTALS or entry[2].tenant != "globex"]


def total_of_nothing(log: HandMadeLog) -> None:
    last = log.of(topics.COST_TOTALS)[-1]
    log.add(topics.COST_TOTALS, "x", replace(last, model="other"))


def total_went_back(log: HandMadeLog) -> None:
    early = next(t for t in log.of(topics.COST_TOTALS) if t.tenant == "acme")
    log.add(topics.COST_TOTALS, "acme", early)


def cache_hit_uncounted(log: HandMadeLog) -> None:
    log.drop(next(e for e in log.of(topics.COSTS) if e.call_id is None))


def cache_hit_twice(log: HandMadeLog) -> None:
    log.add(topics.COSTS, "acme", next(e for e in log.of(topics.COSTS) if e.call_id is None))


def too_many_attempts(log: HandMadeLog) -> None:
    for attempt in (2, 3, 4):
        log.add(topics.ATTEMPTS, "acme", report("r1", f"extra{attempt}", CallPhase.STARTED, attempt=attempt))


def dead_letter_of_nothing(log: HandMadeLog) -> None:
    log.add(topics.DEAD_LETTERS, "x", dead_letter(99, b"\xff"))


def dead_letter_of_a_healthy_request(log: HandMadeLog) -> None:
    log.add(topics.DEAD_LETTERS, "x", dead_letter(0, log.serde.encode(request("r1"))))


def dead_letter_with_other_bytes(log: HandMadeLog) -> None:
    letter = log.of(topics.DEAD_LETTERS)[0]
    log.swap(letter, replace(letter, value=b"\xff\xff poisoN"))


def poison_without_a_dead_letter(log: HandMadeLog) -> None:
    log.drop(log.of(topics.DEAD_LETTERS)[0])


def poison_with_an_id_unanswered(log: HandMadeLog) -> None:
    log.drop(next(r for r in log.of(topics.RESPONSES) if r.request_id == "r5"))


def unreadable_cost_event(log: HandMadeLog) -> None:
    log.add(topics.COSTS, "acme", b"\x00\x00\x00\x00\x06garbage")


def arrived_without_start(log: HandMadeLog) -> None:
    log.provider_calls.append({**log.provider_calls[0], "call_id": "secret"})


def arrived_twice(log: HandMadeLog) -> None:
    log.provider_calls.append(log.provider_calls[0])


def never_arrived(log: HandMadeLog) -> None:
    del log.provider_calls[0]


def other_tokens_than_billed(log: HandMadeLog) -> None:
    log.provider_calls[0] = {**log.provider_calls[0], "output_tokens": 6}


def free_but_billed(log: HandMadeLog) -> None:
    call = next(c for c in log.provider_calls if c["call_id"] == "c2")
    log.provider_calls[log.provider_calls.index(call)] = {**call, "input_tokens": 3}


def answered_by_a_wasted_call(log: HandMadeLog) -> None:
    first = log.of(topics.COSTS)[0]
    log.swap(first, replace(first, wasted=True))
    log.records = [entry for entry in log.records if entry[0] != topics.COST_TOTALS]
    log.write_totals()


def estimate_below_the_bill(log: HandMadeLog) -> None:
    call = next(c for c in log.provider_calls if c["call_id"] == "c4")
    log.provider_calls[log.provider_calls.index(call)] = {**call, "output_tokens": 41}


def too_many_attempts_at_the_provider(log: HandMadeLog) -> None:
    """Reported as never sent, so that they count for nothing; the provider has seen each of them."""
    refused = Failure(FailureKind.UNREACHABLE, "refused", Billing.NOT_BILLED)
    for attempt in (2, 3, 4, 5):
        call_id = f"x{attempt}"
        log.add(topics.ATTEMPTS, "acme", report("r1", call_id, CallPhase.STARTED, attempt=attempt))
        log.add(topics.ATTEMPTS, "acme", report("r1", call_id, CallPhase.FAILED, attempt=attempt, failure=refused))
        free = cost("r1", call_id, None, attempt=attempt, pricing_status=PricingStatus.NOT_BILLED)
        log.add(topics.COSTS, "acme", free)
        sent = {**log.provider_calls[0], "call_id": call_id, "request_id": "r1", "input_tokens": 0, "output_tokens": 0}
        log.provider_calls.append(sent)
    log.write_totals()


def unknown_price_as_zero(log: HandMadeLog) -> None:
    first = log.of(topics.COSTS)[0]
    log.swap(first, replace(first, pricing_status=PricingStatus.UNKNOWN))


Plant = Callable[[HandMadeLog], None]
PLANTS: list[tuple[Plant, set[ProblemKind]]] = [
    (missing_final, {ProblemKind.MISSING_FINAL}),
    (double_final, {ProblemKind.DUPLICATE_FINAL}),
    (unknown_final, {ProblemKind.UNKNOWN_FINAL}),
    (final_of_another_tenant, {ProblemKind.MISSING_FINAL, ProblemKind.UNKNOWN_FINAL}),
    (missing_cost_event, {ProblemKind.UNCHARGED_CALL, ProblemKind.WRONG_TOTAL}),
    (missing_cost_event_and_total_in_step, {ProblemKind.UNCHARGED_CALL}),
    (double_cost_event, {ProblemKind.DOUBLE_CHARGE, ProblemKind.WRONG_TOTAL}),
    (cost_without_start, {ProblemKind.CHARGE_WITHOUT_START, ProblemKind.WRONG_TOTAL}),
    (cost_for_another_request, {ProblemKind.CHARGE_DIFFERS}),
    (total_off_by_one_nanodollar, {ProblemKind.WRONG_TOTAL}),
    (total_off_by_one_token, {ProblemKind.WRONG_TOTAL}),
    (total_missing, {ProblemKind.WRONG_TOTAL}),
    (total_of_nothing, {ProblemKind.WRONG_TOTAL}),
    (total_went_back, {ProblemKind.WRONG_TOTAL}),
    (cache_hit_uncounted, {ProblemKind.CACHE_HIT_DIFFERS, ProblemKind.WRONG_TOTAL}),
    (cache_hit_twice, {ProblemKind.CACHE_HIT_DIFFERS, ProblemKind.WRONG_TOTAL}),
    (too_many_attempts, {ProblemKind.TOO_MANY_ATTEMPTS, ProblemKind.UNCHARGED_CALL}),
    (dead_letter_of_nothing, {ProblemKind.UNKNOWN_DEAD_LETTER}),
    (dead_letter_of_a_healthy_request, {ProblemKind.UNKNOWN_DEAD_LETTER}),
    (dead_letter_with_other_bytes, {ProblemKind.UNKNOWN_DEAD_LETTER}),
    (poison_without_a_dead_letter, {ProblemKind.MISSING_DEAD_LETTER}),
    (poison_with_an_id_unanswered, {ProblemKind.MISSING_FINAL}),
    (unreadable_cost_event, {ProblemKind.UNREADABLE}),
    (arrived_without_start, {ProblemKind.ARRIVED_WITHOUT_START}),
    (arrived_twice, {ProblemKind.ARRIVED_TWICE}),
    (never_arrived, {ProblemKind.NEVER_ARRIVED}),
    (other_tokens_than_billed, {ProblemKind.TOKENS_DIFFER}),
    (free_but_billed, {ProblemKind.TOKENS_DIFFER}),
    (answered_by_a_wasted_call, {ProblemKind.ANSWER_WITHOUT_CALL}),
    (unknown_price_as_zero, {ProblemKind.CHARGE_DIFFERS}),
    (estimate_below_the_bill, {ProblemKind.ESTIMATE_TOO_LOW}),
    (too_many_attempts_at_the_provider, {ProblemKind.TOO_MANY_ATTEMPTS}),
]


@pytest.mark.parametrize(("plant", "wanted"), PLANTS, ids=lambda value: getattr(value, "__name__", ""))
def test_every_planted_break_is_found_and_nothing_else(
    plant: Callable[[HandMadeLog], None], wanted: set[ProblemKind], tmp_path: Path
) -> None:
    log = clean_log()
    plant(log)
    tally = check(log, tmp_path)
    assert kinds(tally) == wanted
    for problem in tally.first(50):
        assert problem.key
        assert len(problem.message) > 20


def test_a_problem_names_its_place(tmp_path: Path) -> None:
    log = clean_log()
    missing_final(log)
    (problem,) = check(log, tmp_path).first(10)
    # The id was sent twice; the later record is named.
    assert (problem.key, problem.topic, problem.partition, problem.offset) == ("acme/r1", topics.REQUESTS, 0, 4)
    assert str(problem).startswith("missing_final: acme/r1 at ai.requests-0@4: no final response")


def test_what_may_still_come_is_in_flight(tmp_path: Path) -> None:
    log = clean_log()
    log.add(topics.REQUESTS, "acme", request("r9", deadline=T0 + timedelta(hours=2)))
    log.add(topics.ATTEMPTS, "acme", replace(report("r9", "c9", CallPhase.STARTED), lost_at=T0 + timedelta(hours=2)))
    tally = check(log, tmp_path)
    assert kinds(tally) == {ProblemKind.IN_FLIGHT}
    assert (tally.missing, tally.in_flight) == (1, 2)
    past_both = LATER_US + 3 * 3_600_000_000
    assert kinds(check(log, tmp_path, now_us=past_both)) == {ProblemKind.MISSING_FINAL, ProblemKind.UNCHARGED_CALL}


def test_a_total_that_was_read_a_moment_earlier_is_in_flight(tmp_path: Path) -> None:
    log = clean_log()
    total_off_by_one_token(log)
    assert kinds(check(log, tmp_path, quiet=False)) == {ProblemKind.IN_FLIGHT}


def test_an_id_that_was_forgotten_may_be_answered_again(tmp_path: Path) -> None:
    log = clean_log()
    two_days = T0 + timedelta(days=2)
    log.add(topics.REQUESTS, "acme", request("r1"), at=two_days)
    now_us = int((two_days + timedelta(hours=1)).timestamp() * 1e6)
    assert kinds(check(log, tmp_path, now_us=now_us)) == {ProblemKind.MISSING_FINAL}
    log.add(topics.RESPONSES, "r1", final("r1", call_id="c1", received_at=two_days, answered_at=two_days))
    assert kinds(check(log, tmp_path, now_us=now_us)) == set()


def test_calls_that_reached_no_provider_are_no_attempts(tmp_path: Path) -> None:
    log = clean_log()
    refused = Failure(FailureKind.UNREACHABLE, "refused", Billing.NOT_BILLED)
    for attempt in range(2, 9):
        call_id = f"u{attempt}"
        log.add(topics.ATTEMPTS, "acme", report("r1", call_id, CallPhase.STARTED, attempt=attempt))
        log.add(topics.ATTEMPTS, "acme", report("r1", call_id, CallPhase.FAILED, attempt=attempt, failure=refused))
        free = cost("r1", call_id, None, attempt=attempt, pricing_status=PricingStatus.NOT_BILLED)
        log.add(topics.COSTS, "acme", free)
    log.records = [entry for entry in log.records if entry[0] != topics.COST_TOTALS]
    log.write_totals()
    assert kinds(check(log, tmp_path)) == set()


def test_a_provider_that_lies_about_usage_is_not_our_mistake(tmp_path: Path) -> None:
    log = clean_log()
    log.provider_calls[0] = {**log.provider_calls[0], "output_tokens": 999, "fault": "zero_usage"}
    assert kinds(check(log, tmp_path)) == set()


def test_what_the_publisher_was_promised_must_stand_in_the_log(tmp_path: Path) -> None:
    acknowledged = tmp_path / "acknowledged.jsonl"
    acknowledged.write_text(
        '{"tenant":"acme","request_id":"r1"}\n{"tenant":"acme","request_id":"gone"}\n{"tenant":"acme","request_id":"to'
    )
    tally = check(clean_log(), tmp_path, acknowledged=acknowledged)
    assert kinds(tally) == {ProblemKind.NOT_IN_LOG}
    assert [p.key for p in tally.first(5)] == ["acme/gone"]


def test_ids_that_look_alike_are_told_apart(tmp_path: Path) -> None:
    log = clean_log()
    one_answer(log, "b/c", "c10", tenant="a")
    one_answer(log, "c", "c11", tenant="a/b")
    log.records = [entry for entry in log.records if entry[0] != topics.COST_TOTALS]
    log.write_totals()
    tally = check(log, tmp_path)
    assert (kinds(tally), tally.acknowledged, tally.repeats) == (set(), 8, 1)


def test_records_from_before_the_retention_are_skipped_and_counted(tmp_path: Path) -> None:
    log = clean_log()
    missing_final(log)
    horizon_us = int((T0 + timedelta(seconds=5)).timestamp() * 1e6)
    extract = Extract(log.serde, timeout_us=600_000_000, horizon_us=horizon_us)
    found = [fact for line in log.lines() for fact in extract.facts(line)]
    assert {about.kind for about, _ in found} == {"total"}
    assert extract.skipped == extract.records - len(log.of(topics.COST_TOTALS))
