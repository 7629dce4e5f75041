"""The role `webhooks` on a real Kafka, with real receivers: at least once, in order of nobody's failures but one's own."""

import asyncio
import time
from dataclasses import replace
from functools import partial

import orjson
import pytest

from schemas.outcomes import ResponseStatus
from schemas.webhooks import DeliveryStatus, WebhookDelivery
from tests.fakes.stack import embedded_kafka
from tests.integration.webhooks.conftest import Case, world
from tests.integration.webhooks.receiver import until

pytestmark = [pytest.mark.stack, pytest.mark.timeout(240)]


async def test_each_endpoint_is_told_once_of_what_it_asked_for(case: Case) -> None:
    both, failed = await case.endpoint("/both"), await case.endpoint("/failed", events=("request.failed",))
    async with case.delivering():
        await case.answer("r1", "r2")
        await case.answer("r3", status=ResponseStatus.ERROR)
        await until(lambda: len(case.receiver.messages) >= 4)
        await asyncio.sleep(0.5)
    assert case.receiver.counts("/both") == {"r1": 1, "r2": 1, "r3": 1}
    assert case.receiver.counts("/failed") == {"r3": 1}
    for message in case.receiver.messages:
        assert message.believed(case.secret(both if message.path == "/both" else failed))
        assert message.data["cost_nanousd"] == 1_500
    stand = (await case.deliveries()).values()
    assert {d.status for d in stand} == {DeliveryStatus.DELIVERED}
    assert all(d.body is None and d.http_status == 204 for d in stand)


async def test_what_is_refused_twice_is_taken_the_third_time(case: Case) -> None:
    await case.endpoint("/twice")
    case.receiver.failing_first(2)
    async with case.delivering():
        await case.answer(*(f"r{n}" for n in range(20)))
        await until(lambda: len(case.receiver.messages) >= 60)
        await asyncio.sleep(0.5)
    assert set(case.receiver.counts("/twice").values()) == {3}
    assert len({message.id for message in case.receiver.messages}) == 20
    for first in case.receiver.messages[:20]:
        tries = [message for message in case.receiver.messages if message.id == first.id]
        assert len({message.body for message in tries}) == 1, "the same message, however often"
    assert {d.attempt for d in (await case.deliveries()).values()} == {3}


@pytest.mark.parametrize("case", [{"webhooks_retry_s": "3,0.2,0.2"}], indirect=True)
@pytest.mark.parametrize("how", ["in order", pytest.param("cut off", marks=pytest.mark.slow)])
async def test_what_waits_outlives_its_process(case: Case, how: str) -> None:
    await case.endpoint("/later")
    case.receiver.answer = lambda _: 500
    async with case.delivering() as process:
        await case.answer(*(f"r{n}" for n in range(10)))
        await until(lambda: len(case.receiver.messages) >= 10)
        await asyncio.sleep(1.3)  # offsets have been committed since
        if how == "cut off":
            process.cancel()
    case.receiver.answer = lambda _: 200
    before = len(case.receiver.messages)
    await case.answer("while nobody was there")
    async with case.delivering():
        await until(lambda: set(case.receiver.counts("/later")) >= {"while nobody was there"})
        await until(lambda: len({message.id for message in case.receiver.messages[before:]}) == 11)
        await case.until(lambda: _all_stand(case, DeliveryStatus.DELIVERED, 11))


async def _all_stand(case: Case, status: DeliveryStatus, count: int) -> bool:
    stand = (await case.deliveries()).values()
    return len(stand) == count and all(d.status is status for d in stand)


@pytest.mark.parametrize("case", [{"drain_timeout_s": 0.2}], indirect=True)
async def test_an_endpoint_that_hangs_holds_up_no_other(case: Case) -> None:
    await case.endpoint("/hangs")
    await case.endpoint("/answers")
    case.receiver.answer = lambda message: 0 if message.path == "/hangs" else 200
    async with case.delivering():
        for number in range(20):
            await case.answer(f"r{number}")
        await until(lambda: len(case.receiver.counts("/answers")) == 20, within_s=13)  # a try that hangs takes 15 s
        assert 1 <= len(case.receiver.of("/hangs")) <= 8


@pytest.mark.parametrize("case", [{"webhooks_retry_s": "0.1,0.1,0.5"}], indirect=True)
async def test_how_deliveries_end_that_are_not_taken(case: Case) -> None:
    """After the last try with a dead letter that has the body; at 410 with the endpoint disabled; with it deleted, silently."""
    never, gone = await case.endpoint("/never"), await case.endpoint("/gone")
    left = await case.endpoint("/left", webhook_id=f"wh-of-another-make-{case.tenant}")
    case.receiver.answer = lambda message: 410 if message.path == "/gone" else 503
    async with case.delivering():
        await case.answer("r1")
        await until(lambda: len(case.receiver.of("/gone")) == 1 and len(case.receiver.of("/left")) >= 2)
        await case.drop(left.webhook_id)
        ends = {never: DeliveryStatus.GIVEN_UP, gone: DeliveryStatus.GIVEN_UP, left: DeliveryStatus.DROPPED}
        for endpoint, status in ends.items():
            await case.until(partial(_stands, case, endpoint.webhook_id, status))
        letters = {letter.reason: letter for letter in await case.dead_letters()}
        assert {reason for reason, letter in letters.items() if left.webhook_id not in letter.message} == {
            "attempts_spent",
            "gone",
        }
        assert "tried 4 times" in letters["attempts_spent"].message
        assert letters["attempts_spent"].request_id == "r1"
        lost = case.runtime.serde.of(WebhookDelivery).decode(letters["attempts_spent"].value)
        assert orjson.loads(lost.body or "")["data"]["request_id"] == "r1"

        disabled = (await case.endpoints())[gone.webhook_id]
        assert disabled.disabled_at is not None
        assert "410" in (disabled.disabled_reason or "")
        case.receiver.answer = lambda _: 200
        await case.answer("r2")
        await until(lambda: case.receiver.counts("/never")["r2"] == 1)
        assert case.receiver.counts("/gone") == {"r1": 1}
        await case.put(replace(disabled, disabled_at=None, disabled_reason=None, enabled_at=disabled.disabled_at))
        await asyncio.sleep(0.3)
        await case.answer("r3")
        await until(lambda: case.receiver.counts("/gone") == {"r1": 1, "r3": 1})


async def _is_disabled(case: Case, webhook_id: str) -> bool:
    return (await case.endpoints())[webhook_id].disabled_at is not None


@pytest.mark.slow
@pytest.mark.parametrize(
    "case", [{"webhooks_disable_after_s": 1.0, "webhooks_retry_s": "0.3,0.3,0.3,0.3,0.3,0.3,9,9"}], indirect=True
)
async def test_an_endpoint_that_fails_for_long_is_disabled_and_says_why(case: Case) -> None:
    endpoint = await case.endpoint("/down")
    case.receiver.answer = lambda _: 500
    async with case.delivering():
        await case.answer("r1", "r2")
        await case.until(lambda: _is_disabled(case, endpoint.webhook_id))
        await case.until(lambda: _all_stand(case, DeliveryStatus.GIVEN_UP, 2))
    assert "has failed for" in ((await case.endpoints())[endpoint.webhook_id].disabled_reason or "")
    assert {letter.reason for letter in await case.dead_letters()} <= {"endpoint_failing", "endpoint_disabled"}
    assert len(await case.dead_letters()) == 2


async def _stands(case: Case, webhook_id: str, status: DeliveryStatus) -> bool:
    return [d.status for d in (await case.deliveries()).values() if d.webhook_id == webhook_id] == [status]


@pytest.mark.slow
async def test_processes_come_and_go_and_nothing_is_lost(case: Case) -> None:
    """Two members share the partitions; one is cut off, another joins, while receivers refuse each message once."""
    for number in range(4):
        await case.endpoint(f"/e{number}")
    case.receiver.failing_first(1)
    wanted = {f"r{number}" for number in range(60)}
    ids = sorted(wanted)
    async with case.delivering() as first:
        await case.answer(*ids[:20])
        async with case.delivering():
            await case.answer(*ids[20:40])
            first.cancel()
            await case.answer(*ids[40:])
            async with case.delivering():
                begun = time.monotonic()
                await until(lambda: all(set(case.receiver.counts(f"/e{n}")) == wanted for n in range(4)))
                await case.until(lambda: _all_stand(case, DeliveryStatus.DELIVERED, 240))
                assert time.monotonic() - begun < 40
    tries = [case.receiver.counts(f"/e{n}")[r] for n in range(4) for r in wanted]
    assert min(tries) >= 2


@pytest.mark.slow
async def test_a_broker_that_dies_and_returns_ends_nothing() -> None:
    """The process stays, and goes on with what it had and with what comes."""
    wanted = {f"r{number}" for number in range(30)}
    with embedded_kafka() as broker:
        async with world(broker.bootstrap_servers) as case:
            await case.endpoint("/e")
            case.receiver.failing_first(2)
            async with case.delivering() as process:
                await case.answer(*sorted(wanted)[:20])
                await until(lambda: len(case.receiver.messages) >= 20)
                await asyncio.to_thread(broker.kill)
                await asyncio.sleep(2)
                await asyncio.to_thread(broker.start)
                await case.answer(*sorted(wanted)[20:])
                await until(lambda: set(case.receiver.counts("/e")) == wanted, within_s=90)
                await case.until(lambda: _all_stand(case, DeliveryStatus.DELIVERED, 30))
                assert not process.done()
