"""Promise of the checkpoint: a run from it finds what a run over everything finds, and counts the same."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from schemas.calls import Usage
from schemas.errors import SettingsError
from schemas.ledger import CostKind, PricingStatus
from streams import topics
from streams.verify.checkpoint import Checkpoint, State, form, open_checkpoint
from streams.verify.facts import Moved, progress, request
from streams.verify.tally import Commit, Tally
from streams.verify.verdict import ProblemKind
from tests.fakes.hand_made_log import T0, HandMadeLog, Line, clean_log, cost, final, one_answer
from tests.unit.verify import test_planted_breaks as breaks
from tests.unit.verify.checking import check, kinds


def with_history(log: HandMadeLog) -> HandMadeLog:
    """The log after an older, clean part of its own."""
    older = HandMadeLog()
    for number in (1, 2):
        one_answer(older, f"h{number}", f"hc{number}", tenant="initech")
    older.write_totals()
    shift = len(older.of(topics.REQUESTS))
    for letter in log.of(topics.DEAD_LETTERS):
        log.swap(letter, replace(letter, offset=letter.offset + shift))
    log.records = older.records + log.records
    log.provider_calls = older.provider_calls + log.provider_calls
    return log


def so_far(log: HandMadeLog, lines: list[Line], count: int) -> tuple[list[Line], HandMadeLog]:
    """The first lines, and a log whose provider has seen the calls that had been started by then, in its own order."""
    part = HandMadeLog(records=log.records[:count], serde=log.serde)
    started = {report.call_id for report in part.of(topics.ATTEMPTS)}
    for call in log.provider_calls:
        if call["call_id"] not in started:
            break
        part.provider_calls.append(call)
    return lines[:count], part


def counts(tally: Tally) -> dict[str, int]:
    return tally.counts() | {"missing": tally.missing, "duplicate_finals": tally.duplicate_finals, "last_final_us": 0}


def problems(tally: Tally) -> set[str]:
    return {f"{p.kind} {p.key} {p.topic} {p.partition} {p.offset}" for p in tally.first(50)}


def resumed(log: HandMadeLog, count: int, tmp_path: Path) -> Tally | None:
    """The verdict from a checkpoint after `count` lines; None where no clean verdict could be had there."""
    lines = list(log.lines())
    first, part = so_far(log, lines, count)
    (tmp_path / "checkpoint").unlink(missing_ok=True)
    with open_checkpoint(tmp_path / "checkpoint") as checkpoint:
        part.write_call_log(tmp_path / "calls.jsonl")
        check(part, tmp_path, lines=first, past=checkpoint, keep=True)
        if checkpoint.state is None:
            return None
    log.write_call_log(tmp_path / "calls.jsonl")
    with open_checkpoint(tmp_path / "checkpoint") as checkpoint:
        kept(checkpoint)
        return check(log, tmp_path, lines=lines[count:], past=checkpoint)


def kept(checkpoint: Checkpoint) -> State:
    """Of the hand-made terms, which carry no form."""
    assert checkpoint.state is not None
    return checkpoint.state


@pytest.fixture(autouse=True)
def _any_form(monkeypatch: pytest.MonkeyPatch) -> None:
    original = State

    def formed(terms: dict[str, str], *args: object, **more: object) -> State:
        return original({"form": form(), **terms}, *args, **more)  # type: ignore[arg-type]

    monkeypatch.setattr("tests.unit.verify.checking.State", formed)


@pytest.mark.parametrize(("plant", "wanted"), breaks.PLANTS, ids=lambda value: getattr(value, "__name__", ""))
def test_a_break_after_the_checkpoint_is_found(plant: breaks.Plant, wanted: set[ProblemKind], tmp_path: Path) -> None:
    broken = clean_log()
    plant(broken)
    length = len(broken.records)
    log = with_history(broken)
    whole = check(log, tmp_path)
    assert kinds(whole) == wanted
    tally = resumed(log, len(log.records) - length, tmp_path)
    assert tally is not None, "the history is clean"
    assert (kinds(tally), counts(tally), problems(tally)) == (kinds(whole), counts(whole), problems(whole))


LATE = [
    breaks.double_final,
    breaks.unknown_final,
    breaks.double_cost_event,
    breaks.cost_without_start,
    breaks.cache_hit_twice,
    breaks.too_many_attempts,
    breaks.total_went_back,
    breaks.total_of_nothing,
    breaks.dead_letter_of_a_healthy_request,
    breaks.unreadable_cost_event,
]


@pytest.mark.parametrize("plant", LATE, ids=lambda value: value.__name__)
def test_late_words_about_old_keys_are_judged_with_what_was_known(plant: breaks.Plant, tmp_path: Path) -> None:
    log = clean_log()
    length = len(log.records)
    plant(log)
    tally = resumed(log, length, tmp_path)
    assert tally is not None, "the log was clean when the checkpoint was made"
    whole = check(log, tmp_path)
    assert kinds(whole) != set()
    assert (kinds(tally), counts(tally), problems(tally)) == (kinds(whole), counts(whole), problems(whole))


def test_a_call_that_arrives_again_long_after_is_found(tmp_path: Path) -> None:
    log = clean_log()
    log.write_call_log(tmp_path / "calls.jsonl")
    with open_checkpoint(tmp_path / "checkpoint") as checkpoint:
        check(log, tmp_path, lines=list(log.lines()), past=checkpoint, keep=True)
        log.provider_calls.append(log.provider_calls[0])
        log.write_call_log(tmp_path / "calls.jsonl")
        tally = check(log, tmp_path, lines=[], past=checkpoint)
    assert kinds(tally) == {ProblemKind.ARRIVED_TWICE}
    assert tally.provider_calls == 7


def test_an_adjustment_of_an_old_estimate_takes_it_out_of_the_counts(tmp_path: Path) -> None:
    log = clean_log()
    length = len(log.records)
    event = cost("r3", "c4", Usage(-8, -10), pricing_status=PricingStatus.PRICED, wasted=True)
    log.add(topics.COSTS, "acme", replace(event, kind=CostKind.ADJUSTED, event_id="c4/adjusted/1", replaces_estimate=True))
    log.write_totals()
    tally = resumed(log, length, tmp_path)
    assert tally is not None
    assert kinds(tally) == set()
    assert counts(tally) == counts(check(log, tmp_path))
    assert (tally.estimated, tally.adjusted_estimates) == (1, 1)


def test_an_offset_that_goes_back_across_the_checkpoint_is_found(tmp_path: Path) -> None:
    about = progress("group g", topics.REQUESTS, 0)
    log = clean_log()
    log.write_call_log(tmp_path / "calls.jsonl")
    with open_checkpoint(tmp_path / "checkpoint") as checkpoint:
        lines = list(log.lines())
        check(log, tmp_path, lines=lines, past=checkpoint, keep=True, said=[(about, Moved(1, 0, 5))])
        tally = check(log, tmp_path, lines=[], past=checkpoint, said=[(about, Moved(1, 1, 4)), (about, Moved(1, 2, 6))])
    assert kinds(tally) == {ProblemKind.OFFSET_WENT_BACK}


def test_a_commit_that_passes_an_old_record_later_is_judged(tmp_path: Path) -> None:
    """The request was answered and never routed; its commit comes after the checkpoint, and nothing else does."""
    log = clean_log()
    log.write_call_log(tmp_path / "calls.jsonl")
    behind, after = {(topics.REQUESTS, 0): Commit("g", 0)}, {(topics.REQUESTS, 0): Commit("g", 1)}
    with open_checkpoint(tmp_path / "checkpoint") as checkpoint:
        check(log, tmp_path, lines=list(log.lines()), past=checkpoint, keep=True, commits=behind)
        tally = check(log, tmp_path, lines=[], past=checkpoint, commits=after)
    assert [p.key for p in tally.first(5)] == ["acme/r1"]
    assert kinds(tally) == {ProblemKind.PASSED_UNFINISHED}


def test_nothing_new_is_the_same_verdict(tmp_path: Path) -> None:
    log = clean_log()
    tally = resumed(log, len(log.records), tmp_path)
    assert tally is not None
    assert counts(tally) == counts(check(log, tmp_path))


def test_an_unclean_verdict_is_not_kept(tmp_path: Path) -> None:
    log = clean_log()
    log.add(topics.RESPONSES, "r1", final("r1", call_id="c1", answered_at=T0 + timedelta(seconds=9)))
    assert resumed(log, len(log.records), tmp_path) is None


def test_what_begins_anew_replaces_what_was_kept(tmp_path: Path) -> None:
    log = clean_log()
    log.write_call_log(tmp_path / "calls.jsonl")
    with open_checkpoint(tmp_path / "checkpoint") as checkpoint:
        check(log, tmp_path, lines=list(log.lines()), past=checkpoint, keep=True)
        assert checkpoint.find(request("acme", "r1"))
        checkpoint.begin_anew()
        assert checkpoint.find(request("acme", "r1")) == []
        other = HandMadeLog()
        one_answer(other, "o1", "oc1")
        other.write_totals()
        other.write_call_log(tmp_path / "calls.jsonl")
        check(other, tmp_path, lines=list(other.lines()), past=checkpoint, keep=True)
        assert checkpoint.find(request("acme", "o1"))
        assert checkpoint.find(request("acme", "r1")) == []


def test_a_file_that_is_no_checkpoint_is_named(tmp_path: Path) -> None:
    (tmp_path / "other").write_text("hello, this is some other file, longer than a header of sqlite would be " * 20)
    with pytest.raises(SettingsError, match=r"cannot be used.*delete it"), open_checkpoint(tmp_path / "other"):
        pass
    with pytest.raises(SettingsError, match="there is no checkpoint"), open_checkpoint(tmp_path / "none", must_exist=True):
        pass
