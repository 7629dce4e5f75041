"""Lanes that cannot go on: one whose partition the group has given away, one that writes to a topic that is gone."""

import asyncio

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.protocol.group import LeaveGroupRequest
from structlog.testing import capture_logs

from schemas.outcomes import ResponseStatus
from streams import topics
from streams.bootstrap import create_topics
from streams.dispatcher import role
from streams.placement import lane_partition
from tests.fakes.records import DEAR
from tests.integration.dispatcher.conftest import Rig, dispatching


async def throw_out(rig: Rig) -> None:
    """What the group does with a member it has not heard from: it is none any more, and does not know."""
    group = rig.runtime.settings.group("dispatch")
    admin = AIOKafkaAdminClient(bootstrap_servers=rig.runtime.bootstrap_servers)
    await admin.start()
    try:
        (described,) = await admin.describe_consumer_groups([group])
        for member_id, *_ in described.groups[0][5]:
            coordinator = await admin.find_coordinator(group)
            await admin._send_request(LeaveGroupRequest(group, member_id), coordinator)
    finally:
        await admin.close()


async def fence(rig: Rig) -> None:
    """What the next owner of the lane does first."""
    transactional_id = rig.runtime.settings.transactional_id(lane_partition(rig.tenant, rig.runtime.lanes))
    successor = AIOKafkaProducer(bootstrap_servers=rig.runtime.bootstrap_servers, transactional_id=transactional_id)
    await successor.start()
    await successor.stop()


async def test_a_fenced_lane_that_was_given_away_starts_one_producer(rig, monkeypatch):
    rig.answer_all()
    monkeypatch.setattr(role, "_PROGRESS_S", 30.0)  # publishing the progress would hear from the group first
    async with dispatching(rig):
        await rig.publish(rig.routed("before"))
        await rig.until(lambda: rig.seen.finals()["before"])
        with capture_logs() as logs:
            await throw_out(rig)
            await fence(rig)
            await rig.publish(rig.routed("after"))
            await rig.until(lambda: rig.seen.finals()["after"])
            await asyncio.sleep(2.0)
    events = [line["event"] for line in logs]
    assert "lane_failed" in events, "the lane was to be fenced"
    assert events.count("lane_restored") == rig.runtime.lanes
    assert "dispatcher_rejoins" not in events
    assert rig.seen.finals() == {"before": 1, "after": 1}


@pytest.mark.slow
async def test_a_topic_of_orders_that_is_deleted_stops_the_lane_aloud_and_its_requests_get_an_error(rig):
    """aiokafka waits for such a topic for ever, and would hold the lane's transaction open as long."""
    rig.answer_all()
    async with dispatching(rig):
        await rig.publish(rig.routed("before"))
        await rig.until(lambda: rig.seen.finals()["before"])
        admin = AIOKafkaAdminClient(bootstrap_servers=rig.runtime.bootstrap_servers)
        await admin.start()
        try:
            await admin.delete_topics([topics.calls(DEAR.provider)])
        finally:
            await admin.close()
        with capture_logs() as logs:
            await rig.publish(rig.routed("gone", candidates=(DEAR,)))
            await rig.until(lambda: rig.seen.finals()["gone"], within_s=40)
        await create_topics(rig.runtime.settings, [DEAR.provider, "openai"])
    assert [line["error"] for line in logs if line["event"] == "lane_failed" and "KafkaTimeoutError" in line["error"]]
    assert [r.status for r in rig.seen.responses if r.request_id == "gone"] == [ResponseStatus.ERROR]
