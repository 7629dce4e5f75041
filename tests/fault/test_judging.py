"""What the rig says of what it has seen: each law is broken once, and once it holds."""

from types import SimpleNamespace

import pytest

from schemas.calls import CallPhase, Usage
from streams.embedded.events import Exited, Failed
from tests.fault import judging
from tests.fault.seen import Seen


@pytest.fixture
def seen() -> Seen:
    return Seen("127.0.0.1:1", ())


def final(tenant: str = "t") -> SimpleNamespace:
    return SimpleNamespace(response=SimpleNamespace(tenant=tenant), read_at=1.0)


def call(request_id: str = "r1", call_id: str = "c1", *, output: int = 10) -> SimpleNamespace:
    return SimpleNamespace(request_id=request_id, call_id=call_id, input_tokens=5, output_tokens=output)


@pytest.mark.parametrize(
    ("found", "wrong"),
    [
        pytest.param([final()], "", id="one final"),
        pytest.param([], "without a final", id="none"),
        pytest.param([final(), final()], "two finals", id="two"),
        pytest.param([final("a"), final("b")], "", id="one each of two tenants"),
    ],
)
def test_finals(seen, found, wrong):
    if found:
        seen.finals["r1"] = found
    assert wrong in "".join(judging.finals(seen, ["r1"]))
    assert bool(wrong) is bool(list(judging.finals(seen, ["r1"])))


@pytest.mark.parametrize(("final", "fits"), [(8, True), (10, True), (7, False), (11, False)])
def test_counted(final, fits):
    assert (judging.counted(final, sent=10, given_up=2) == "") is fits


@pytest.mark.parametrize(("orders", "calls", "fits"), [((1, 2), 2, True), ((1, 2), 3, False), ((1, 2, 2), 3, True)])
def test_attempts(seen, orders, calls, fits):
    seen.started = {f"c{n}": SimpleNamespace(request_id="r1", attempt=attempt) for n, attempt in enumerate(orders)}
    assert (not list(judging.attempts(seen, [call()] * calls, cap=2))) is fits


@pytest.mark.parametrize(
    ("output", "phase", "fits"),
    [
        pytest.param(10, None, True, id="lost, and covered"),
        pytest.param(9, None, False, id="lost, and not covered"),
        pytest.param(9, CallPhase.FAILED, False, id="indeterminate, and not covered"),
        pytest.param(9, CallPhase.COMPLETED, True, id="the provider did not say"),
    ],
)
def test_estimates(seen, output, phase, fits):
    seen.costs["r1"] = [SimpleNamespace(call_id="c1", estimated=True, usage=Usage(5, output))]
    if phase is not None:
        seen.ended["c1"] = SimpleNamespace(phase=phase)
    assert (not list(judging.estimates(seen, [call(output=10)]))) is fits


@pytest.mark.parametrize(("expected", "fits"), [(None, True), (1, True), (0, False), (2, False)])
def test_deaths(expected, fits):
    exits = [Exited("intake-0", -9, 0.25), Failed("intake-0", "no broker")]
    assert (judging.deaths(exits, expected) == "") is fits
