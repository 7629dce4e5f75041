"""Promise of the checker: on a real broker it sees what groups committed and what a transaction holds, and resumes."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.structs import OffsetAndMetadata, TopicPartition

from streams import clock, topics
from streams.bootstrap import create_topics
from streams.settings import Settings
from streams.verify.check import verify
from streams.verify.verdict import ProblemKind
from tests.fakes import records
from tests.fakes.hand_made_log import T0, HandMadeLog, clean_log, final, one_answer
from tests.fakes.stack import RunningKafka, embedded_kafka
from tests.integration.verify.test_verify_on_kafka import publish

pytestmark = pytest.mark.stack
PLACE = TopicPartition(topics.REQUESTS, 0)


@pytest.fixture(scope="module")
def broker() -> Iterator[RunningKafka]:
    with embedded_kafka() as broker:
        yield broker


@pytest.fixture
async def settings(broker: RunningKafka, request: pytest.FixtureRequest) -> AsyncIterator[Settings]:
    """Empty topics, and groups that no other test has used."""
    app = request.node.name.replace("_", "-")
    settings = Settings(_env_file=None, bootstrap_servers=broker.bootstrap_servers, app=app, transaction_timeout_ms=1_000)
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


async def commit(settings: Settings, *offsets: int, metadata: str = "") -> None:
    """As intake: a member of its group that commits these offsets one after the other."""
    consumer = AIOKafkaConsumer(
        topics.REQUESTS,
        bootstrap_servers=settings.bootstrap_servers,
        group_id=settings.group("intake"),
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )
    await consumer.start()
    await consumer.getmany(timeout_ms=0)
    assert PLACE in consumer.assignment()
    for offset in offsets:
        await consumer.commit({PLACE: OffsetAndMetadata(offset, metadata)})
    await consumer.stop()


def routed_log() -> HandMadeLog:
    log = HandMadeLog()
    for number in (1, 2, 3):
        one_answer(log, f"r{number}", f"c{number}")
        log.add(topics.ROUTED, "acme", records.routed(f"r{number}", tenant="acme", received_at=T0))
    log.write_totals()
    return log


async def test_commits_of_what_is_done_are_clean(settings: Settings) -> None:
    await publish(settings, routed_log())
    await commit(settings, 1, 2, 3)
    verdict = await verify(settings, wait_s=10)
    assert verdict.problems == ()
    assert not any(name.startswith("I6") for name in verdict.not_checked)
    assert verdict.last_final_at == (T0 + timedelta(seconds=1)).isoformat(timespec="microseconds")


async def test_a_commit_that_went_back_is_found_in_the_history(settings: Settings) -> None:
    await publish(settings, routed_log())
    await commit(settings, 3, 1, 3)
    verdict = await verify(settings, wait_s=10)
    assert [p.kind for p in verdict.problems] == [ProblemKind.OFFSET_WENT_BACK]
    assert f"group {settings.group('intake')} on {topics.REQUESTS}-0" in str(verdict.problems[0])
    assert "from 3 to 1 in generation" in str(verdict.problems[0])


async def test_a_commit_past_what_is_not_routed_is_found(settings: Settings) -> None:
    log = routed_log()
    log.drop(log.of(topics.ROUTED)[1])
    await publish(settings, log)
    await commit(settings, 1, metadata="done:1+1")
    assert (await verify(settings, wait_s=10)).ok, "offset 2 is done beyond it, offset 1 is not"
    await commit(settings, 2)
    (problem,) = (await verify(settings, wait_s=10)).problems
    assert (problem.kind, problem.topic, problem.offset) == (ProblemKind.PASSED_UNFINISHED, topics.REQUESTS, 1)


async def test_an_open_transaction_is_in_flight_and_then_named(settings: Settings) -> None:
    await publish(settings, clean_log())
    assert (await verify(settings, wait_s=10)).ok
    producer = AIOKafkaProducer(
        bootstrap_servers=settings.bootstrap_servers, transactional_id="hangs", transaction_timeout_ms=120_000
    )
    await producer.start()
    await producer.begin_transaction()
    now_ms = int(clock.now().timestamp() * 1000)
    await producer.send_and_wait(topics.HEALTH, b"x", partition=0, timestamp_ms=now_ms)
    await producer.send_and_wait(topics.CHUNKS, b"x", partition=0, timestamp_ms=now_ms - 3_600_000)
    verdict = await verify(settings, wait_s=60)
    assert verdict.took_s < 40, "no waiting mends it"
    assert {p.kind for p in verdict.problems} == {ProblemKind.HUNG_TRANSACTION, ProblemKind.IN_FLIGHT}
    hung = verdict.problems[0]
    assert (hung.kind, hung.topic, hung.offset) == (ProblemKind.HUNG_TRANSACTION, topics.CHUNKS, 0)
    await producer.abort_transaction()
    await producer.stop()
    assert (await verify(settings, wait_s=10)).ok


async def test_a_checkpoint_reads_on_and_catches_a_late_second_final(settings: Settings, tmp_path: Path) -> None:
    await publish(settings, routed_log())
    path = tmp_path / "checkpoint"
    first = await verify(settings, wait_s=10, checkpoint=path)
    assert (first.ok, first.resumed, first.checkpointed) == (True, False, True)
    await commit(settings, 1, 3)
    second = await verify(settings, wait_s=10, checkpoint=path)
    assert (second.ok, second.resumed, second.checkpointed, second.new_records) == (True, True, True, 0)
    assert (second.acknowledged, second.final, second.records) == (3, 3, first.records)

    late = HandMadeLog()
    late.add(topics.RESPONSES, "r1", final("r1", call_id="c1", answered_at=T0 + timedelta(seconds=9)))
    await publish(settings, late)
    await commit(settings, 2)
    whole, resumed = await verify(settings, wait_s=5), await verify(settings, wait_s=5, checkpoint=path)
    assert {p.kind for p in resumed.problems} == {ProblemKind.DUPLICATE_FINAL, ProblemKind.OFFSET_WENT_BACK}
    assert resumed.problems == whole.problems
    assert (resumed.new_records, resumed.checkpointed, resumed.duplicate_finals) == (1, False, 1)
    assert (await verify(settings, since=path)).problems == whole.problems


async def test_a_checkpoint_of_other_terms_begins_anew(settings: Settings, tmp_path: Path) -> None:
    await publish(settings, routed_log())
    path = tmp_path / "checkpoint"
    assert (await verify(settings, wait_s=10, checkpoint=path)).checkpointed
    other = settings.model_copy(update={"max_attempts": settings.max_attempts + 1})
    verdict = await verify(other, wait_s=10, checkpoint=path)
    assert (verdict.ok, verdict.resumed, verdict.acknowledged) == (True, False, 3)
    assert (await verify(other, wait_s=10, checkpoint=path)).resumed
