"""Promise of the checker: an offset that went back, lies beyond the end, or has passed what is not done, is found."""

from datetime import timedelta
from pathlib import Path

import pytest

from schemas.calls import Billing, CallOrdered, CallPhase, Failure, FailureKind
from schemas.requests import Operation
from schemas.state import DispatchChange
from streams import topics
from streams.verify.facts import Moved, progress
from streams.verify.tally import Commit, Tally
from streams.verify.verdict import ProblemKind
from tests.fakes import records
from tests.fakes.hand_made_log import T0, HandMadeLog, one_answer, report, request
from tests.unit.verify.checking import LATER_US, check, kinds

ORDERS = topics.calls("openai")
INTAKE = progress("group penstock-intake", topics.REQUESTS, 0)


def order(request_id: str, *, attempt: int) -> CallOrdered:
    return CallOrdered(
        request_id=request_id,
        attempt=attempt,
        tenant="acme",
        lane="acme",
        deployment="openai/gpt-4o-mini",
        provider="openai",
        model="gpt-4o-mini",
        operation=Operation.CHAT,
        request=b"framed",
        input_tokens_estimate=10,
        output_tokens_bound=100,
        stream=False,
        timeout_ms=60_000,
        ordered_at=T0,
        deadline=T0 + timedelta(minutes=10),
    )


def whole_log() -> HandMadeLog:
    """Two requests, each routed and ordered; the second one's order was refused in time and ordered again."""
    log = HandMadeLog()
    for number in (1, 2):
        name = f"r{number}"
        one_answer(log, name, f"c{number}")
        log.add(topics.ROUTED, "acme", records.routed(name, tenant="acme", received_at=T0))
        log.add(ORDERS, f"{name}/1", order(name, attempt=1))
    log.add(ORDERS, "r2/2", order("r2", attempt=2))
    expired = Failure(FailureKind.EXPIRED, "too late", Billing.NOT_BILLED)
    log.add(topics.ATTEMPTS, "acme", report("r2", "c3", CallPhase.FAILED, attempt=2, failure=expired))
    log.write_totals()
    for offset in (1, 2):
        log.add(topics.CHANGELOG, f"position/{topics.ROUTED}", DispatchChange(position=offset))
    return log


COMMITS = {(topics.REQUESTS, 0): Commit("penstock-intake", 2), (ORDERS, 0): Commit("penstock-calls-openai", 3)}


def test_everything_committed_is_done(tmp_path: Path) -> None:
    assert check(whole_log(), tmp_path, commits=COMMITS).first(5) == ()


def place(tally: Tally) -> tuple[str | None, int | None, int | None]:
    (problem,) = tally.first(5)
    return problem.topic, problem.partition, problem.offset


def test_a_request_that_was_passed_without_being_routed_is_found(tmp_path: Path) -> None:
    log = whole_log()
    log.swap(log.of(topics.ROUTED)[1], records.routed("r1", tenant="acme", received_at=T0))
    tally = check(log, tmp_path, commits=COMMITS)
    assert kinds(tally) == {ProblemKind.PASSED_UNFINISHED}
    assert place(tally) == (topics.REQUESTS, 0, 1)


def test_an_id_that_came_twice_was_routed_twice(tmp_path: Path) -> None:
    log = whole_log()
    later = T0 + timedelta(seconds=2)
    log.add(topics.REQUESTS, "acme", request("r1"), at=later)
    commits = COMMITS | {(topics.REQUESTS, 0): Commit("penstock-intake", 3)}
    assert place(check(log, tmp_path, commits=commits)) == (topics.REQUESTS, 0, 2)
    log.add(topics.ROUTED, "acme", records.routed("r1", tenant="acme", received_at=later))
    assert kinds(check(log, tmp_path, commits=commits)) == set()


def test_an_order_that_was_passed_without_a_report_is_found(tmp_path: Path) -> None:
    log = whole_log()
    log.drop(log.of(topics.ATTEMPTS)[-1])
    tally = check(log, tmp_path, commits=COMMITS)
    assert kinds(tally) == {ProblemKind.PASSED_UNFINISHED}
    assert place(tally) == (ORDERS, 0, 2)
    assert tally.first(1)[0].key == "acme/r2"


@pytest.mark.parametrize(
    ("commit", "found"),
    [(Commit("g", 2), False), (Commit("g", 1, frozenset({2})), True), (Commit("g", 0, frozenset({1})), False)],
)
def test_what_is_named_as_done_beyond_the_offset_counts(commit: Commit, found: bool, tmp_path: Path) -> None:
    log = whole_log()
    log.drop(log.of(topics.ATTEMPTS)[-1])
    tally = check(log, tmp_path, commits={(ORDERS, 0): commit})
    assert kinds(tally) == ({ProblemKind.PASSED_UNFINISHED} if found else set())


def test_poison_that_was_passed_without_a_dead_letter_is_found(tmp_path: Path) -> None:
    log = whole_log()
    log.add(topics.REQUESTS, "acme", b"\xff\xff")
    commits = COMMITS | {(topics.REQUESTS, 0): Commit("penstock-intake", 3)}
    at_once_us = int(T0.timestamp() * 1e6)
    assert kinds(check(log, tmp_path, now_us=at_once_us, commits=COMMITS)) == {ProblemKind.IN_FLIGHT}
    tally = check(log, tmp_path, now_us=at_once_us, commits=commits)
    assert kinds(tally) == {ProblemKind.PASSED_UNFINISHED}


def test_what_was_read_while_the_log_grew_is_in_flight(tmp_path: Path) -> None:
    log = whole_log()
    log.swap(log.of(topics.ROUTED)[1], records.routed("r1", tenant="acme", received_at=T0))
    assert kinds(check(log, tmp_path, commits=COMMITS, quiet=False)) == {ProblemKind.IN_FLIGHT}


def test_a_position_of_the_dispatcher_that_went_back_is_found(tmp_path: Path) -> None:
    log = whole_log()
    log.add(topics.CHANGELOG, f"position/{topics.ROUTED}", DispatchChange(position=1))
    log.add(topics.CHANGELOG, f"position/{topics.ROUTED}", DispatchChange(position=2))
    tally = check(log, tmp_path)
    assert kinds(tally) == {ProblemKind.OFFSET_WENT_BACK}
    assert place(tally) == (topics.CHANGELOG, 0, 2)


def test_a_position_of_the_dispatcher_beyond_the_end_is_found(tmp_path: Path) -> None:
    log = whole_log()
    log.add(topics.CHANGELOG, f"position/{topics.ROUTED}", DispatchChange(position=3))
    tally = check(log, tmp_path)
    assert kinds(tally) == {ProblemKind.OFFSET_BEYOND_END}
    assert "the dispatcher on ai.requests.routed-0" in str(tally.first(1)[0])


def test_commits_that_went_back_are_found_with_their_generation(tmp_path: Path) -> None:
    said = [(INTAKE, Moved(7, offset, to, generation=4)) for offset, to in enumerate((1, 2, 1, 2))]
    tally = check(whole_log(), tmp_path, said=said)
    assert kinds(tally) == {ProblemKind.OFFSET_WENT_BACK}
    assert place(tally) == ("__consumer_offsets", 7, 2)
    assert "went back from 2 to 1 in generation 4" in str(tally.first(1)[0])


def test_a_commit_beyond_the_end_is_found(tmp_path: Path) -> None:
    assert kinds(check(whole_log(), tmp_path, said=[(INTAKE, Moved(7, 0, 3, 4))])) == {ProblemKind.OFFSET_BEYOND_END}


def test_an_operator_may_set_offsets_back(tmp_path: Path) -> None:
    said = [(INTAKE, Moved(7, 0, 2, 4)), (INTAKE, Moved(7, 1, 0, 5, fresh=True)), (INTAKE, Moved(7, 2, 1, 6))]
    assert kinds(check(whole_log(), tmp_path, said=said)) == set()


def test_requests_in_flight_are_not_lost_by_being_uncommitted(tmp_path: Path) -> None:
    log = whole_log()
    log.add(topics.REQUESTS, "acme", request("r9", deadline=T0 + timedelta(hours=2)))
    tally = check(log, tmp_path, commits=COMMITS, now_us=LATER_US)
    assert kinds(tally) == {ProblemKind.IN_FLIGHT}
