"""Both sides of a reconciliation without Kafka: a lane that charges, and an index that is asked about it."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from processors.reconcile.lines import KeyKind, Line, Told
from schemas.calls import CallReported
from streams.reconcile.index import Index
from streams.reconcile.judging import Differs, Finding, Terms, judge
from streams.reconcile.posting import report
from tests.fakes.lane import FakeLane
from tests.fakes.records import T0

T0_US = round(T0.timestamp() * 1_000_000)
DAY = Terms(span_us=(T0_US - 43_200_000_000, T0_US + 43_200_000_000))
WHOLE_DAY = Terms(DAY.span_us, complete=True)


def line(call_id: str, input_tokens: int, output_tokens: int, *, at_s: float = 0.0) -> Line:
    """A line of a simulator's log."""
    at_us = T0_US + round(at_s * 1_000_000)
    return Line(KeyKind.CALL, call_id, "openai", "gpt-4o-mini", at_us, Told(input_tokens, output_tokens))


def answer(response_id: str, told: Told, *, provider: str = "openai") -> Line:
    """A line that goes by the provider's id."""
    return Line(KeyKind.RESPONSE, response_id, provider, "gpt-4o-mini", T0_US, told)


def look(lane: FakeLane, lines: Iterable[Line], terms: Terms = DAY, *, add_up: bool = True) -> list[Finding]:
    """What a run finds that reads the whole export and the ledger as it stands."""
    with Index() as index:
        index.put_lines(lines, add_up=add_up)
        index.put_events(lane.costs)
        index.pair()
        return list(judge(index, terms))


def reports(findings: Iterable[Finding], *, as_of: datetime) -> list[CallReported]:
    return [report(found, as_of=as_of) for found in findings if isinstance(found, Differs)]


def reconciled(lane: FakeLane, lines: list[Line], now: datetime, terms: Terms = DAY) -> list[CallReported]:
    """Run once, let the dispatcher do what is asked."""
    asked = reports(look(lane, lines, terms), as_of=now)
    for one in asked:
        lane.on(one, now + timedelta(seconds=1))
    return asked
