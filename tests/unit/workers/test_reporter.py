"""The reporter beside a broker that refuses: no report is given up, and a poisoned one takes nobody with it."""

from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from aiokafka.errors import MessageSizeTooLargeError, RequestTimedOutError, TopicAuthorizationFailedError

from processors.providers.contract import Completion
from schemas.calls import CallPhase, CallReported, Output, Usage
from schemas.serde import Serde
from streams import topics
from streams.publisher import Outgoing
from streams.workers import reporter as module
from streams.workers import reports
from streams.workers.reporter import Reporter
from tests.unit.providers.calls import NOW, order

SERDE = Serde()


@dataclass
class Broker:
    """In place of the publisher: raises what it is told, then takes."""

    errors: list[Exception] = field(default_factory=list)
    taken: list[Outgoing] = field(default_factory=list)
    asked: int = 0

    async def send_all(self, records):
        self.asked += 1
        if self.errors:
            raise self.errors.pop(0)
        self.taken += records


@dataclass
class Runtime:
    publisher: Broker
    serde: Serde = SERDE

    def to_lane(self, topic, lane, value):
        return Outgoing(topic, lane, value, partition=0)


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch):
    monkeypatch.setattr(module, "RETRY_S", 0.0)


async def finish(broker, *, content="Hi"):
    started = reports.Started(order(), "c1", "w1", NOW, timeout_s=30.0)
    answer = Completion(Output(content=content), Usage(3, 2))
    await Reporter(Runtime(broker)).finish(started, answer, in_flight=1, now=NOW + timedelta(seconds=1), latency_ms=5)
    assert [record.topic for record in broker.taken] == [topics.ATTEMPTS, topics.HEALTH]
    return SERDE.of(CallReported).decode(broker.taken[0].value)


async def test_a_broker_that_is_away_is_waited_for():
    broker = Broker([RequestTimedOutError(), RequestTimedOutError()])
    assert (await finish(broker)).phase is CallPhase.COMPLETED
    assert broker.asked == 3


async def test_an_error_that_no_waiting_mends_is_raised():
    broker = Broker([TopicAuthorizationFailedError()])
    with pytest.raises(TopicAuthorizationFailedError):
        await finish(broker)


async def test_a_small_report_beside_one_that_the_broker_refused_goes_again():
    assert (await finish(Broker([MessageSizeTooLargeError()]))).phase is CallPhase.COMPLETED


async def test_a_large_report_that_the_broker_refused_becomes_a_failure_with_its_usage():
    report = await finish(Broker([MessageSizeTooLargeError()]), content="x" * module.SURELY_FITS_BYTES)
    assert (report.phase, report.output, report.usage) == (CallPhase.FAILED, None, Usage(3, 2))


async def test_an_answer_beyond_two_megabytes_becomes_a_failure_with_its_usage():
    report = await finish(Broker(), content="x" * 2_100_000)
    assert (report.phase, report.output, report.usage) == (CallPhase.FAILED, None, Usage(3, 2))
