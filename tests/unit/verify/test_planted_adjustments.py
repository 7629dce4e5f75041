"""Promise of the checker: an adjustment changes what a call stands at, and each way to post one wrongly is found."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from schemas.calls import Usage
from schemas.ledger import CostEvent, CostKind, PricingStatus
from streams import topics
from streams.verify.verdict import ProblemKind
from tests.fakes.hand_made_log import PRICE, HandMadeLog, clean_log, cost
from tests.unit.verify.checking import check, kinds

# Call c4 of the clean log was estimated at 20 and 40 tokens; its provider bills 12 and 30.
ESTIMATED, BILLED = Usage(20, 40), Usage(12, 30)


def adjustment(number: int = 1, call_id: str = "c4", **changes: Any) -> CostEvent:
    difference = Usage(BILLED.input_tokens - ESTIMATED.input_tokens, BILLED.output_tokens - ESTIMATED.output_tokens)
    event = cost("r3", call_id, difference, pricing_status=PricingStatus.PRICED, wasted=True)
    right = replace(event, kind=CostKind.ADJUSTED, event_id=f"{call_id}/adjusted/{number}", replaces_estimate=True)
    return replace(right, **changes)


def adjusted(*events: CostEvent) -> HandMadeLog:
    """The clean log and these adjustments, with totals that follow."""
    log = clean_log()
    log.records = [entry for entry in log.records if entry[0] != topics.COST_TOTALS]
    for event in events:
        log.add(topics.COSTS, "acme", event)
    log.write_totals()
    return log


def test_an_estimate_that_became_an_actual_is_clean_and_counted(tmp_path: Path) -> None:
    tally = check(adjusted(adjustment()), tmp_path)
    assert tally.first(10) == ()
    assert (tally.adjustments, tally.estimated, tally.adjusted_estimates) == (1, 1, 1)
    assert tally.ledger_input_tokens == tally.provider_input_tokens == 40 + 12
    assert tally.cost_nanousd == 150 * (15 * 4 + 60) - PRICE * 18


def test_a_void_call_stands_at_nothing(tmp_path: Path) -> None:
    log = adjusted(adjustment(usage=Usage(-20, -40), cost_nanousd=-PRICE * 60))
    log.provider_calls = [call for call in log.provider_calls if call["call_id"] != "c4"]
    assert kinds(check(log, tmp_path)) == set()


@pytest.mark.parametrize(
    ("events", "wanted"),
    [
        pytest.param([adjustment(), adjustment()], {ProblemKind.DOUBLE_CHARGE}, id="posted-twice"),
        pytest.param([adjustment(2)], {ProblemKind.BAD_ADJUSTMENT}, id="number-left-out"),
        pytest.param([adjustment(event_id="c4/fix")], {ProblemKind.BAD_ADJUSTMENT}, id="no-number"),
        pytest.param(
            [adjustment(replaces_estimate=False)], {ProblemKind.BAD_ADJUSTMENT, ProblemKind.ESTIMATE_TOO_LOW}, id="estimate-left"
        ),
        pytest.param([adjustment(call_id="ghost")], {ProblemKind.ADJUSTMENT_WITHOUT_CALL}, id="of-a-call-that-was-never-charged"),
        pytest.param([adjustment(request_id="r1")], {ProblemKind.CHARGE_DIFFERS}, id="of-another-request"),
        pytest.param([adjustment(usage=Usage(-7, -10))], {ProblemKind.TOKENS_DIFFER}, id="not-what-is-billed"),
        pytest.param(
            [adjustment(usage=Usage(-21, -40))],
            {ProblemKind.BAD_ADJUSTMENT, ProblemKind.TOKENS_DIFFER},
            id="more-taken-back-than-charged",
        ),
    ],
)
def test_a_wrong_adjustment_is_found(events: list[CostEvent], wanted: set[ProblemKind], tmp_path: Path) -> None:
    log = adjusted(*events)
    if ProblemKind.ESTIMATE_TOO_LOW in wanted:
        log.provider_calls = [call | {"output_tokens": 39} if call["call_id"] == "c4" else call for call in log.provider_calls]
    tally = check(log, tmp_path)
    assert kinds(tally) == wanted
    for problem in tally.first(10):
        assert (problem.topic, problem.partition) == (topics.COSTS, 0)
        assert problem.key in {"c4", "ghost"}


def test_a_total_that_did_not_follow_an_adjustment_is_found(tmp_path: Path) -> None:
    log = clean_log()
    log.add(topics.COSTS, "acme", adjustment())
    assert kinds(check(log, tmp_path)) == {ProblemKind.WRONG_TOTAL}


def test_an_adjustment_read_before_its_charge_is_in_flight(tmp_path: Path) -> None:
    assert kinds(check(adjusted(adjustment(call_id="ghost")), tmp_path, quiet=False)) == {ProblemKind.IN_FLIGHT}
