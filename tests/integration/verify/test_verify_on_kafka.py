"""Promise of the checker: on a real broker it reads to the committed end, and its verdict is that of the log."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from aiokafka.structs import TopicPartition

from schemas.calls import CallPhase
from schemas.errors import SettingsError
from streams import clock, topics
from streams.bootstrap import create_topics
from streams.settings import Settings
from streams.verify.check import verify
from streams.verify.verdict import ProblemKind
from tests.fakes.hand_made_log import T0, HandMadeLog, clean_log, final, report, request
from tests.fakes.stack import RunningKafka, embedded_kafka

pytestmark = pytest.mark.stack


@pytest.fixture(scope="module")
def broker() -> Iterator[RunningKafka]:
    """A broker of this module's own: its topics have the product's names."""
    with embedded_kafka() as broker:
        yield broker


@pytest.fixture
async def settings(broker: RunningKafka) -> AsyncIterator[Settings]:
    """Empty topics."""
    settings = Settings(_env_file=None, bootstrap_servers=broker.bootstrap_servers)
    # The hand-made log sets the times of its records itself.
    await create_topics(settings, ("openai",), config={"message.timestamp.type": "CreateTime"})
    yield settings
    admin = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap_servers)
    await admin.start()
    await admin.delete_topics(list(topics.all_topics(("openai",))))
    for _ in range(200):
        if not any(name.startswith("ai.") for name in await admin.list_topics()):
            break
        await asyncio.sleep(0.05)
    await admin.close()


async def publish(settings: Settings, log: HandMadeLog, *, commit: bool = True, transactional_id: str = "t") -> None:
    """Write the log into partition 0, all in one transaction."""
    producer = AIOKafkaProducer(
        bootstrap_servers=settings.bootstrap_servers, transactional_id=transactional_id, retry_backoff_ms=5
    )
    await producer.start()
    await producer.begin_transaction()
    for line in log.lines():
        await producer.send(line.topic, line.value, key=line.key, partition=0, timestamp_ms=line.timestamp)
    await (producer.commit_transaction() if commit else producer.abort_transaction())
    await producer.stop()


async def test_empty_topics_are_clean(settings: Settings) -> None:
    verdict = await verify(settings)
    assert (verdict.ok, verdict.acknowledged, verdict.totals_match, verdict.records) == (True, 0, True, 0)


async def test_a_clean_log_is_clean_and_says_so_in_a_line(settings: Settings, tmp_path: Path) -> None:
    log = clean_log()
    await publish(settings, log)
    # The markers of a transaction come a moment after its commit is acknowledged.
    verdict = await verify(settings, call_log=log.write_call_log(tmp_path / "calls.jsonl"), wait_s=10)
    assert verdict.problems == ()
    assert verdict.line() == (
        "clean: 6 acknowledged, 6 final, 0 missing, 0 duplicate; 6 calls started; 6 cost events (1 estimated, 1 wasted); "
        "1 cache hit; 2 totals match ($0.000018000); 2 dead letters; 6 calls in the provider's log"
    )
    said = verdict.to_json()
    assert said["ok"] is True
    assert {"acknowledged", "final", "missing", "duplicate_finals", "calls_started", "cost_events", "totals_match"} <= said.keys()
    assert {"estimated", "wasted", "dead_letters", "problems"} <= said.keys()


async def test_aborted_transactions_do_not_count(settings: Settings) -> None:
    await publish(settings, clean_log(), commit=False, transactional_id="zombie")
    await publish(settings, clean_log())
    second = HandMadeLog()
    second.add(topics.RESPONSES, "r1", final("r1", call_id="c1"))
    await publish(settings, second, commit=False, transactional_id="zombie")
    verdict = await verify(settings)
    assert verdict.duplicate_finals == 0
    # The dead letters name offsets of the first, aborted copy of the poison.
    assert {p.kind for p in verdict.problems} == {ProblemKind.MISSING_DEAD_LETTER, ProblemKind.UNKNOWN_DEAD_LETTER}


async def test_a_committed_second_final_is_found(settings: Settings) -> None:
    log = clean_log()
    log.add(topics.RESPONSES, "r1", final("r1", call_id="c1", answered_at=T0 + timedelta(seconds=3)))
    await publish(settings, log)
    verdict = await verify(settings, wait_s=30)
    assert verdict.took_s < 20, "no waiting mends it"
    assert (verdict.ok, verdict.duplicate_finals) == (False, 1)
    (problem,) = verdict.problems
    assert (problem.kind, problem.key, problem.topic) == (ProblemKind.DUPLICATE_FINAL, "acme/r1", topics.RESPONSES)
    assert problem.offset == len(log.of(topics.RESPONSES)) - 1


async def test_wait_reads_on_until_the_log_is_drained(settings: Settings) -> None:
    now = clock.now()
    log = clean_log()
    log.add(topics.REQUESTS, "acme", request("late"), at=now)
    await publish(settings, log)
    assert {p.kind for p in (await verify(settings)).problems} == {ProblemKind.IN_FLIGHT}

    waiting = asyncio.create_task(verify(settings, wait_s=30))
    await asyncio.sleep(0.7)
    rest = HandMadeLog()
    rest.add(topics.RESPONSES, "late", final("late", received_at=now, answered_at=now))
    await publish(settings, rest)
    verdict = await waiting
    assert (verdict.ok, verdict.acknowledged, verdict.final, verdict.in_flight) == (True, 7, 7, 0)


async def test_waiting_ends_in_time_with_what_is_in_flight(settings: Settings) -> None:
    now = clock.now()
    log = clean_log()
    log.add(topics.REQUESTS, "acme", request("late"), at=now)
    hour = timedelta(hours=1)
    log.add(topics.ATTEMPTS, "acme", report("late", "late-1", CallPhase.STARTED, at=now, lost_at=now + hour), at=now)
    await publish(settings, log)
    verdict = await verify(settings, wait_s=1.0)
    assert (verdict.ok, verdict.in_flight, verdict.missing) == (False, 2, 1)
    assert 1.0 <= verdict.took_s < 15


async def test_a_log_that_lost_its_beginning_is_judged_from_there(settings: Settings) -> None:
    await publish(settings, clean_log())
    now = clock.now()
    later = HandMadeLog()
    later.add(topics.REQUESTS, "acme", request("new"), at=now)
    later.add(topics.RESPONSES, "new", final("new", received_at=now, answered_at=now), at=now)
    await publish(settings, later)
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.bootstrap_servers)
    await admin.start()
    # Retention has taken the first copy of the requests, and with it what their finals belong to.
    cut = len(clean_log().of(topics.REQUESTS)) + 1
    await admin.delete_records({TopicPartition(topics.REQUESTS, 0): RecordsToDelete(before_offset=cut)})
    await admin.close()
    verdict = await verify(settings)
    assert verdict.problems == ()
    assert (verdict.acknowledged, verdict.final) == (1, 1)
    assert verdict.skipped > 0


async def test_topics_that_do_not_exist_are_named(kafka: RunningKafka) -> None:
    with pytest.raises(SettingsError, match=r"ai\.requests.*penstock init"):
        await verify(Settings(_env_file=None, bootstrap_servers=kafka.bootstrap_servers))


async def test_a_broker_that_is_away_is_named() -> None:
    with pytest.raises(SettingsError, match=r"no Kafka answers at 127\.0\.0\.1:1"):
        await verify(Settings(_env_file=None, bootstrap_servers="127.0.0.1:1"))


async def test_logs_that_cannot_be_read_are_named(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="nowhere"):
        await verify(settings, call_log=tmp_path / "nowhere")
    (tmp_path / "other").write_text("{}\n")
    with pytest.raises(SettingsError, match="line 1"):
        await verify(settings, acknowledged_log=tmp_path / "other")
