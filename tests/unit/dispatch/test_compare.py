"""What the semantic cache wants compared travels with the answer of the request's own call, and with no other."""

from processors.dispatch.policy import DispatchPolicy
from schemas.calls import Billing, FailureKind
from schemas.outcomes import CacheState
from schemas.routing import Fallback
from schemas.semantic import Comparison
from tests.fakes.lane import FakeLane
from tests.fakes.records import asking, at, completed, failed, routed, started

WANTED = Comparison("acme:auto:c0ffee", bytes(32), 1.5, "wordllama")


def test_the_answer_of_its_own_call_says_what_to_compare_it_with():
    lane = FakeLane()
    lane.on(routed(compare=WANTED), at(0))
    lane.on(started("c1"), at(0))
    lane.on(completed("c1"), at(1))
    assert [final.compare for final in lane.finals] == [WANTED]


def test_an_answer_that_another_request_paid_for_is_compared_once():
    lane = FakeLane()
    for request_id in ("r1", "r2"):
        lane.on(asking(request_id, compare=WANTED), at(0))
    lane.on(started("c1"), at(0))
    lane.on(completed("c1"), at(1))
    assert {(final.cache, final.compare) for final in lane.finals} == {(CacheState.MISS, WANTED), (CacheState.SHARED, None)}


def test_a_fallback_is_no_answer_to_compare():
    lane = FakeLane(DispatchPolicy(max_attempts=1))
    lane.on(routed(compare=WANTED, fallback=Fallback(text="sorry")), at(0))
    lane.on(started("c1"), at(0))
    lane.on(failed("c1", FailureKind.TIMED_OUT, Billing.UNKNOWN), at(1))
    assert [final.compare for final in lane.finals] == [None]
