"""What was calibrated is what a lost call is charged; what was estimated stands on the line that calibration learns from."""

from dataclasses import replace

from schemas.calls import Usage, UsageSource
from tests.fakes.lane import FakeLane
from tests.fakes.records import CHEAP, DEAR, at, completed, routed, started

BOUND = replace(CHEAP, input_tokens_bound=15)


def called(**changes) -> FakeLane:
    """r1 is called, with the input that its order says."""
    lane = FakeLane()
    lane.on(routed(**({"candidates": (BOUND, DEAR), "input_tokens_estimate": 10} | changes)), at(0))
    lane.on(started("c1", input_tokens_estimate=lane.orders[0].input_tokens_estimate), at(0.1))
    return lane


def test_an_order_carries_the_bound_of_its_own_candidate():
    assert called().orders[0].input_tokens_estimate == 15
    assert called(candidates=(CHEAP,)).orders[0].input_tokens_estimate == 10


def test_a_lost_call_is_charged_for_the_calibrated_input_and_teaches_nothing():
    lane = called()
    lane.run_timers(at(71))
    (line,) = lane.costs
    assert line.usage == Usage(15, 100, source=UsageSource.ESTIMATED)
    assert (line.estimated, line.input_tokens_estimate) == (True, None)


def test_the_line_of_a_counted_call_has_the_estimate_from_before_calibration():
    lane = called()
    lane.on(completed("c1", usage=Usage(14, 5)), at(1))
    (line,) = lane.costs
    assert (line.usage, line.input_tokens_estimate) == (Usage(14, 5), 10)


def test_a_call_that_ends_after_its_request_has_no_estimate():
    lane = called(deadline=at(2))
    lane.run_timers(at(3))
    lane.on(completed("c1", usage=Usage(14, 5)), at(4))
    (line,) = lane.costs
    assert (line.wasted, line.input_tokens_estimate) == (True, None)
