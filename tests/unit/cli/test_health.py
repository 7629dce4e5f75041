"""What `penstock health` shows of what was read."""

import json
from datetime import UTC, datetime, timedelta
from io import StringIO

from rich.console import Console

from schemas.health import AlertRaised, AlertState, HealthEvent, HealthOutcome, RateLimits
from schemas.serde import Serde
from streams import topics
from streams.cli.health_showing import Known, as_data, drawn
from streams.decoding import dumps

AT = datetime(2026, 6, 1, 12, tzinfo=UTC)
NOW = AT + timedelta(seconds=30)
LIMITS = RateLimits(requests_limit=100, requests_remaining=25)


class Record:
    def __init__(self, topic: str, value: object) -> None:
        self.topic, self.value = topic, Serde().encode(value)


def event(deployment: str, kind: str | None = None, **fields) -> Record:
    outcome = HealthOutcome.SUCCESS if kind is None else HealthOutcome.FAILURE
    made = HealthEvent(deployment, "p", "m", "w", outcome, 3, AT, failure_kind=kind, latency_ms=100, **fields)
    return Record(topics.HEALTH, made)


def alert(state: AlertState) -> Record:
    made = AlertRaised("unauthorized", "p/bad", state, "critical", "the key is refused", "set another key", AT, AT)
    return Record(topics.ALERTS, made)


def known(*records: Record) -> Known:
    found = Known()
    for record in records:
        found.take(record, Serde())
    return found


def shown(found: Known) -> str:
    out = StringIO()
    Console(file=out, width=200).print(drawn(found, now=NOW))
    return out.getvalue()


def test_a_line_a_deployment_and_one_for_each_alert_that_stands():
    found = known(event("p/good", limits=LIMITS), event("p/bad", "unauthorized"), alert(AlertState.RAISED))
    header, bad, good, told = (line.split("  ") for line in shown(found).splitlines())
    assert [cell.strip() for cell in good if cell.strip()] == [
        "p/good", "closed", "100 %", "102 ms", "102 ms", "102 ms", "2", "25.0 %", "30 s ago", "-",
    ]  # fmt: skip
    assert bad[0].strip() == "p/bad"
    assert "open (unauthorized)" in "  ".join(bad)
    assert "unauthorized p/bad" in told[0]
    assert "set another key" in told[0]
    assert "headroom" in "  ".join(header)


def test_well_is_when_no_circuit_is_open_and_no_alert_stands():
    assert known(event("p/good"), alert(AlertState.RAISED), alert(AlertState.RESOLVED)).is_well()
    assert not known(event("p/good"), alert(AlertState.RAISED)).is_well()
    assert not known(event("p/bad", "unauthorized")).is_well()
    assert known(*[event("p/busy", "rate_limited")] * 9).is_well()


def test_json_has_the_same():
    (deployment,) = json.loads(dumps(as_data(known(event("p/good", limits=LIMITS)), now=NOW)))["deployments"]
    assert deployment["deployment"] == "p/good"
    assert (deployment["circuit"], deployment["headroom"], deployment["in_flight"]) == ("closed", 0.25, 2)
    found = json.loads(dumps(as_data(known(event("p/bad", "unauthorized"), alert(AlertState.RAISED)), now=NOW)))
    assert (found["deployments"][0]["circuit"], found["deployments"][0]["opened_by"]) == ("open", "unauthorized")
    assert (found["alerts"][0]["kind"], found["alerts"][0]["state"]) == ("unauthorized", "RAISED")
