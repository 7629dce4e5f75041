"""The join: what each call and each line comes to."""

from dataclasses import replace

import pytest

from processors.reconcile.join import actual, adjustment
from processors.reconcile.lines import KeyKind, Line, Told
from schemas.calls import Billing, Charged, FailureKind, Output, Usage
from schemas.errors import SettingsError
from streams.reconcile.index import Index
from streams.reconcile.judging import Agreed, Differs, OnlyOurs, OnlyTheirs, Outside, Terms
from streams.reconcile.standing import Standing
from tests.fakes.lane import FakeLane
from tests.fakes.records import CHEAP, at, completed, failed, routed, started
from tests.unit.reconcile.both_sides import DAY, T0_US, WHOLE_DAY, answer, line, look


def ledger(**calls):
    """A lane that charged these calls: `lost`, `free`, a Usage as reported, or (Usage, response id)."""
    lane = FakeLane()
    for n, (call_id, what) in enumerate(calls.items()):
        lane.on(routed(f"r{n}", candidates=(CHEAP,), deadline=at(60)), at(0))
        lane.on(started(call_id, request_id=f"r{n}"), at(0))
        if what == "free":
            lane.on(failed(call_id, FailureKind.RATE_LIMITED, Billing.NOT_BILLED, request_id=f"r{n}"), at(1))
        elif what != "lost":
            usage, response_id = what if isinstance(what, tuple) else (what, None)
            lane.on(
                completed(call_id, usage=usage, request_id=f"r{n}", output=Output("x", provider_response_id=response_id)), at(1)
            )
    lane.run_timers(at(100))
    return lane


def kinds(findings):
    return [type(found) for found in findings]


@pytest.mark.parametrize(
    ("charged", "told", "wanted"),
    [
        pytest.param(Charged(1, 10, 5), Told(10, 5), None, id="the same"),
        pytest.param(Charged(1, 10, 5, 4, 2, 1), Told(10, 5), None, id="parts that are not told stay"),
        pytest.param(Charged(1, 10, 5, 4), Told(10, 5, 0), Usage(10, 5), id="a part that differs"),
        pytest.param(Charged(1, 10, 5, 4, 6, 5), Told(6, 3), Usage(6, 3, 4, 2, 3), id="parts stay within their whole"),
        pytest.param(Charged(1, 10, 5, estimated=True), Told(10, 5), Usage(10, 5), id="an estimate that was right"),
        pytest.param(Charged(1, 0, 0), Told(7, 1, 2, 3, 1), Usage(7, 1, 2, 3, 1), id="billed though we thought it free"),
        pytest.param(Charged(1, 9, 9, estimated=True), Told(0, 0), Usage(0, 0), id="billed for nothing"),
    ],
)
def test_one_call_on_both_sides(charged, told, wanted):
    assert adjustment(charged, told) == wanted
    if wanted is not None:
        assert actual(charged, told) == wanted


def test_calls_are_joined_by_our_id():
    lane = ledger(c1=Usage(10, 5), c2=Usage(10, 5), c3="lost", c4="free")
    found = look(lane, [line("c1", 10, 5), line("c2", 11, 5), line("c3", 10, 7), line("c4", 0, 0)])
    assert kinds(found) == [Agreed, Differs, Differs, Agreed]
    assert [f.usage for f in found if isinstance(f, Differs)] == [Usage(11, 5), Usage(10, 7)]


def test_calls_are_joined_by_the_providers_id():
    lane = ledger(c1=(Usage(100, 20, 64), "chatcmpl-1"), c2=(Usage(100, 20), "chatcmpl-2"))
    told = Told(100, 20, 64, None, 0)
    found = look(lane, [answer("chatcmpl-1", told), answer("chatcmpl-2", told)], add_up=False)
    assert kinds(found) == [Agreed, Differs]
    assert found[1].usage == Usage(100, 20, 64)


def test_an_id_of_another_providers_is_another_call():
    lane = ledger(c1=(Usage(10, 5), "id-1"))
    found = look(lane, [answer("id-1", Told(10, 5), provider="google")], add_up=False)
    assert kinds(found) == [OnlyTheirs, OnlyOurs]


def test_an_answers_id_that_two_calls_carry_joins_neither():
    lane = ledger(c1=(Usage(10, 5), "same"), c2=(Usage(10, 5), "same"))
    found = look(lane, [answer("same", Told(99, 99))], add_up=False)
    assert sorted(k.__name__ for k in kinds(found)) == ["OnlyOurs", "OnlyOurs", "OnlyTheirs"]


def test_a_call_that_arrived_twice_was_billed_twice():
    (found,) = look(ledger(c1=Usage(10, 5)), [line("c1", 10, 5), line("c1", 10, 5)])
    assert found.usage == Usage(20, 10)


def test_pages_may_overlap_but_not_contradict_each_other():
    lane = ledger(c1=(Usage(10, 5), "a"))
    assert kinds(look(lane, [answer("a", Told(10, 5))] * 2, add_up=False)) == [Agreed]
    with pytest.raises(SettingsError, match="bills a twice"):
        look(lane, [answer("a", Told(10, 5)), answer("a", Told(10, 6))], add_up=False)


def test_lines_of_others_are_shown_and_never_posted():
    found = look(ledger(c1=Usage(10, 5)), [line("c1", 10, 5), line("x", 7, 1)])
    assert kinds(found) == [Agreed, OnlyTheirs]
    standing = Standing()
    for one in found:
        standing.add(one, lambda _: 1_234)
    group = standing.only_provider
    assert (group.calls, group.input_tokens, group.output_tokens, group.cost_nanousd) == (1, 7, 1, 1_234)
    assert not standing.clean


def test_a_stranger_that_was_billed_for_nothing_is_left_out():
    nameless = Line(KeyKind.NONE, "r/1", "openai", None, T0_US, Told(0, 0))
    assert look(FakeLane(), [nameless, line("x", 0, 0)]) == []


class TestAbsent:
    """A call of ours that the export does not have."""

    ENDS = (line("a", 0, 0, at_s=-3600), line("b", 0, 0, at_s=3600))

    def test_proves_nothing_as_long_as_the_export_may_lack_calls(self):
        assert kinds(look(ledger(c1="lost", c2=Usage(10, 5)), self.ENDS)) == [OnlyOurs, OnlyOurs]

    def test_costs_nothing_when_it_is_an_estimate_and_the_export_is_complete(self):
        found = look(ledger(c1="lost", c2=Usage(10, 5)), self.ENDS, WHOLE_DAY)
        assert {f.booked.call_id: type(f) for f in found} == {"c1": Differs, "c2": OnlyOurs}
        assert next(f for f in found if isinstance(f, Differs)).usage is None

    def test_agrees_when_it_was_free(self):
        assert kinds(look(ledger(c1="free"), self.ENDS, WHOLE_DAY)) == [Agreed]

    @pytest.mark.parametrize(
        ("span", "margin_s", "expected"),
        [
            pytest.param((-100, 100), 60, Differs, id="well inside"),
            pytest.param((-59, 100), 60, OnlyOurs, id="too near to the beginning"),
            pytest.param((-100, 59), 60, OnlyOurs, id="too near to the end"),
            pytest.param((1, 100), 0, Outside, id="before"),
            pytest.param((-100, -1), 0, Outside, id="after"),
            pytest.param(None, 0, Outside, id="the export does not tell its time"),
        ],
    )
    def test_is_judged_by_the_time_of_the_export(self, span, margin_s, expected):
        span_us = None if span is None else (T0_US + span[0] * 1_000_000, T0_US + span[1] * 1_000_000)
        terms = Terms(span_us, complete=True, margin_us=margin_s * 1_000_000)
        assert kinds(look(ledger(c1="lost"), [], terms)) == [expected]

    def test_may_be_the_stranger_that_goes_by_the_providers_id(self):
        lane = ledger(c1="lost")
        stranger = answer("chatcmpl-9", Told(10, 30))
        assert kinds(look(lane, [stranger], WHOLE_DAY, add_up=False)) == [OnlyTheirs, OnlyOurs]
        assert kinds(look(lane, [replace(stranger, told=Told(0, 0))], WHOLE_DAY, add_up=False)) == [Differs]


def test_the_span_is_known_when_every_line_tells_its_time():
    with Index() as index:
        index.put_lines([line("a", 1, 1, at_s=5), line("b", 1, 1, at_s=-5)], add_up=True)
        assert index.span_us() == (T0_US - 5_000_000, T0_US + 5_000_000)
        index.put_lines([replace(line("c", 1, 1), at_us=None)], add_up=True)
        assert index.span_us() is None


def test_counts_are_of_both_sides():
    lane = ledger(c1=Usage(10, 5), c2="lost", c3="lost", c4=Usage(10, 5))
    standing = Standing()
    for one in look(lane, [line("c1", 10, 5), line("c2", 10, 30)], replace(DAY, complete=True)):
        standing.add(one, lambda _: None)
    assert (standing.agreed, standing.estimates, standing.absent) == (1, 2, 1)
    assert (standing.differing.calls, standing.differing.input_tokens, standing.differing.output_tokens) == (2, -10, -170)
    assert [call["call_id"] for call in standing.only_ledger.first] == ["c4"]
