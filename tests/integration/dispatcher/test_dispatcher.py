"""The transactional shell on a real broker: one transaction a cycle, restore, fencing, rebalance."""

import asyncio
import shutil
from contextlib import closing

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError
from structlog.testing import capture_logs

from processors.dispatch.state import request_key
from schemas.calls import FailureKind
from schemas.outcomes import ResponseStatus
from schemas.routing import Candidate
from streams import topics
from streams.dispatcher import role
from streams.dispatcher.changelog import Changelog
from streams.dispatcher.restore import Restored, catch_up
from streams.placement import lane_partition
from streams.stores.state_dir import LaneStores
from tests.fakes.records import CHEAP, completed, failed
from tests.integration.dispatcher.conftest import Rig, dispatching


async def restored(rig: Rig) -> Restored:
    found = Restored()
    partition = lane_partition(rig.tenant, rig.runtime.lanes)
    await catch_up(
        found,
        partition,
        serde=rig.runtime.serde,
        bootstrap_servers=rig.runtime.bootstrap_servers,
        client_id="test-restore",
        security={},
    )
    return found


async def committed(rig: Rig, topic: str) -> int:
    consumer = AIOKafkaConsumer(
        bootstrap_servers=rig.runtime.bootstrap_servers, group_id=rig.runtime.settings.group("dispatch"), enable_auto_commit=False
    )
    await consumer.start()
    try:
        return await consumer.committed(TopicPartition(topic, lane_partition(rig.tenant, rig.runtime.lanes))) or 0
    finally:
        await consumer.stop()


async def commit(rig: Rig, *, to_end: bool) -> None:
    """Move the group's offsets to one end of the inputs, as an operator may."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=rig.runtime.bootstrap_servers, group_id=rig.runtime.settings.group("dispatch"), enable_auto_commit=False
    )
    await consumer.start()
    try:
        tps = [TopicPartition(t, lane_partition(rig.tenant, rig.runtime.lanes)) for t in (topics.ROUTED, topics.ATTEMPTS)]
        ends = await (consumer.end_offsets if to_end else consumer.beginning_offsets)(tps)
        consumer.assign(tps)
        await consumer.commit(ends)
    finally:
        await consumer.stop()


def digest(state):
    totals = {(total.lane, total.provider, total.model, total.hour): total for total in state.totals.values()}
    return state.open, dict(state.finished.items()), state.calls, totals, state.circuits, state.positions


async def identity_of(rig: Rig, partition: int) -> str:
    return f"{await role._cluster_id(rig.runtime)} {topics.CHANGELOG}-{partition}"


async def test_responses_costs_totals_and_offsets_come_in_one_piece(rig):
    rig.answer_all()
    async with dispatching(rig):
        before = (await restored(rig)).state.positions.get(topics.ROUTED, 0)
        await rig.publish(*(rig.routed(f"r{n}") for n in range(40)))
        await rig.until(lambda: len(rig.seen.finals()) == 40 and len(rig.seen.costs) == 40)
        await rig.until(lambda: sum(t.calls for t in rig.seen.totals.values()) == 40)
    assert set(rig.seen.finals().values()) == {1}
    (total,) = rig.seen.totals.values()
    assert total.cost_nanousd == sum(cost.cost_nanousd for cost in rig.seen.costs) == 40 * (10 * 150 + 5 * 600)
    state = (await restored(rig)).state
    assert state.positions[topics.ROUTED] - before == 40
    for topic in (topics.ROUTED, topics.ATTEMPTS):
        assert await committed(rig, topic) == state.positions[topic], "whoever watches the group's lag sees the same"
    assert not [key for key in state.open if key.startswith(rig.tenant)]
    assert all(request_key(rig.tenant, f"r{n}") in state.finished for n in range(40))


async def test_a_lane_goes_by_its_changelog_and_not_by_the_offsets_of_its_group(rig):
    rig.answer_all()
    async with dispatching(rig):
        await rig.publish(*(rig.routed(f"r{n}") for n in range(5)))
        await rig.until(lambda: len(rig.seen.finals()) == 5)
    await rig.publish(*(rig.routed(f"r{n}") for n in range(5, 10)))
    await commit(rig, to_end=True)
    async with dispatching(rig):
        await rig.until(lambda: len(rig.seen.finals()) == 10)
    await commit(rig, to_end=False)
    async with dispatching(rig):
        await rig.publish(rig.routed("last"))
        await rig.until(lambda: rig.seen.finals()["last"])
    assert len(rig.seen.responses) == len(rig.seen.orders) == 11, "nothing is read twice, not even to be recognised"


async def test_an_open_request_survives_a_restart_and_expires_on_time(rig):
    async with dispatching(rig):
        await rig.publish(rig.routed("r1", lifetime_s=4.0))
        await rig.until(lambda: rig.seen.orders)
    assert request_key(rig.tenant, "r1") in (await restored(rig)).state.open
    async with dispatching(rig):
        await rig.until(rig.seen.finals)
    assert [r.status for r in rig.seen.responses] == [ResponseStatus.EXPIRED]


async def test_a_lost_call_is_charged_by_the_next_dispatcher(rig):
    async with dispatching(rig):
        await rig.publish(rig.routed("r1"))
        await rig.until(lambda: rig.seen.orders)
        await rig.publish(rig.started(rig.seen.orders[0], "lost", lost_after_s=2.0))
        await asyncio.sleep(0.5)
    async with dispatching(rig):
        await rig.until(lambda: rig.seen.costs)
    assert [(c.call_id, c.estimated, c.wasted) for c in rig.seen.costs] == [("lost", True, True)]


async def test_what_was_reported_while_no_dispatcher_ran_comes_before_its_timers(rig):
    async with dispatching(rig):
        await rig.publish(rig.routed("r1", lifetime_s=2.0))
        await rig.until(lambda: rig.seen.orders)
    order = rig.seen.orders[0]
    await rig.publish(rig.started(order, "c1", lost_after_s=0.1))
    await rig.publish(completed("c1", **rig.about(order)))
    await asyncio.sleep(2.5)
    async with dispatching(rig):
        await rig.until(rig.seen.finals)
        await rig.until(lambda: rig.seen.costs)
    assert [(r.status, r.call_id) for r in rig.seen.responses] == [(ResponseStatus.OK, "c1")]
    assert [(c.call_id, c.estimated, c.wasted) for c in rig.seen.costs] == [("c1", False, False)]


async def test_a_retry_waits_in_the_changelog(rig):
    async with dispatching(rig):
        await rig.publish(rig.routed("r1", candidates=(CHEAP,)))
        await rig.until(lambda: rig.seen.orders)
        about = rig.about(rig.seen.orders[0])
        await rig.publish(failed("c1", FailureKind.RATE_LIMITED, retry_after_s=2.0, **about))
        await asyncio.sleep(0.5)
    assert len(rig.seen.orders) == 1
    rig.answer_all()
    async with dispatching(rig):
        await rig.until(rig.seen.finals)
    assert [order.attempt for order in rig.seen.orders] == [1, 2]


async def test_a_fenced_dispatcher_drops_its_state_rejoins_and_answers_once(rig):
    rig.answer_all()
    partition = lane_partition(rig.tenant, rig.runtime.lanes)
    async with dispatching(rig):
        await rig.publish(rig.routed("before"))
        await rig.until(lambda: rig.seen.finals()["before"])
        successor = AIOKafkaProducer(
            bootstrap_servers=rig.runtime.bootstrap_servers, transactional_id=rig.runtime.settings.transactional_id(partition)
        )
        with capture_logs() as logs:
            await successor.start()
            await successor.stop()
            await rig.publish(rig.routed("after"))
            await rig.until(lambda: rig.seen.finals()["after"])
            await asyncio.sleep(1.0)
    assert rig.seen.finals() == {"before": 1, "after": 1}
    rejoins = [line for line in logs if line["event"] == "dispatcher_rejoins"]
    assert 1 <= len(rejoins) <= 2, "no ping-pong"


async def test_members_come_and_go_and_every_request_is_answered_once(rig):
    rig.answer_all()
    async with dispatching(rig):
        sent = 0
        for _ in range(3):
            async with dispatching(rig):
                for _ in range(10):
                    await rig.publish(*(rig.routed(f"r{sent + n}") for n in range(10)))
                    sent += 10
                    await asyncio.sleep(0.05)
        await rig.until(lambda: len(rig.seen.finals()) == sent)
    assert set(rig.seen.finals().values()) == {1}
    await rig.until(lambda: len(rig.seen.costs) == sent)
    assert sum(t.calls for t in rig.seen.totals.values()) == sent


async def test_orders_of_an_aborted_transaction_are_never_seen(rig, monkeypatch):
    rig.answer_all()
    real = AIOKafkaProducer.commit_transaction
    failures = 2

    async def commit(producer):
        nonlocal failures
        if failures:
            failures -= 1
            await producer.abort_transaction()
            raise KafkaError("the commit did not go through")
        await real(producer)

    async with dispatching(rig):
        monkeypatch.setattr(AIOKafkaProducer, "commit_transaction", commit)
        await rig.publish(*(rig.routed(f"r{n}") for n in range(20)))
        await rig.until(lambda: len(rig.seen.finals()) == 20)
    assert failures == 0
    assert set(rig.seen.finals().values()) == {1}
    assert len(rig.seen.orders) == len({order.request_id for order in rig.seen.orders}) == 20


async def test_what_is_no_record_of_ours_becomes_a_dead_letter_and_blocks_nobody(rig):
    rig.answer_all()
    async with dispatching(rig):
        await rig.runtime.publisher.send_all([rig.runtime.to_lane(topics.ROUTED, rig.tenant, b"\x01broken")])
        await rig.publish(rig.routed("after"))
        await rig.until(lambda: rig.seen.finals()["after"] and rig.seen.dead_letters)
    assert [(letter.reason, letter.value) for letter in rig.seen.dead_letters] == [("bad_magic", b"\x01broken")]


async def test_a_provider_without_a_topic_of_orders_blocks_nobody(rig):
    rig.answer_all()
    unknown = Candidate("nobody/model", "nobody", "model", timeout_ms=1_000, output_tokens_bound=10)
    async with dispatching(rig):
        await rig.publish(rig.routed("only", candidates=(unknown,)), rig.routed("also", candidates=(unknown, CHEAP)))
        await rig.until(lambda: len(rig.seen.finals()) == 2)
    found = {response.request_id: (response.status, response.deployment) for response in rig.seen.responses}
    assert found == {"only": (ResponseStatus.ERROR, None), "also": (ResponseStatus.OK, CHEAP.deployment)}


async def test_a_restart_reads_only_what_its_disk_does_not_have_and_knows_what_has_finished(rig):
    rig.answer_all()
    async with dispatching(rig):
        await rig.publish(*(rig.routed(f"r{n}") for n in range(20)))
        await rig.until(lambda: len(rig.seen.finals()) == 20)
    in_whole = digest((await restored(rig)).state)
    with capture_logs() as logs:
        async with dispatching(rig):
            await rig.publish(rig.routed("r3"), rig.routed("r4", body_digest=b"x" * 32))
            await rig.until(lambda: len(rig.seen.responses) == 22)
    partition = lane_partition(rig.tenant, rig.runtime.lanes)
    [line] = [line for line in logs if line["event"] == "lane_restored" and line["partition"] == partition]
    assert line["changelog_records"] < 30, "of more than 80 no more than the last transaction's: the rest came from the disk"
    assert sorted(r.status for r in rig.seen.responses if not r.final) == [ResponseStatus.CONFLICT, ResponseStatus.DUPLICATE]
    with closing(LaneStores(rig.runtime.settings.state_root("dispatch") / "0", rig.runtime.serde)) as stores:
        store = stores.of(partition, identity=await identity_of(rig, partition))
        from_disk = Restored.from_store(store)
        for key, value in store.records():
            Changelog(rig.runtime.serde).apply(from_disk.state, key, value)
        assert digest(from_disk.state)[:5] == in_whole[:5]


@pytest.mark.parametrize("loss", ["deleted", "damaged"])
async def test_a_lost_disk_is_made_anew_from_the_changelog(rig, loss):
    rig.answer_all()
    async with dispatching(rig):
        await rig.publish(*(rig.routed(f"r{n}") for n in range(20)))
        await rig.until(lambda: len(rig.seen.finals()) == 20)
    root = rig.runtime.settings.state_root("dispatch")
    if loss == "deleted":
        shutil.rmtree(root)
    else:
        for path in root.glob("*/lane-*/CURRENT"):
            path.write_bytes(b"\xff" * 64)
    async with dispatching(rig):
        await rig.publish(rig.routed("r3"), rig.routed("new"))
        await rig.until(lambda: rig.seen.finals()["new"] and len(rig.seen.responses) == 22)
    assert len(rig.seen.orders) == 21


async def test_a_record_of_a_newer_version_stops_the_lane_and_is_not_passed(rig):
    async with dispatching(rig):
        await rig.publish(rig.routed("readable"))
        await rig.until(lambda: rig.seen.orders)
    position = (await restored(rig)).state.positions[topics.ROUTED]
    with pytest.raises(Exception, match="schema id 99 is not known"):
        async with dispatching(rig) as task:
            await rig.runtime.publisher.send_all([rig.runtime.to_lane(topics.ROUTED, rig.tenant, b"\0\0\0\0\x63newer")])
            await asyncio.wait({task}, timeout=10)
    assert (await restored(rig)).state.positions[topics.ROUTED] == position == await committed(rig, topics.ROUTED)
