"""Reconciling on a real broker, with the real dispatcher: estimates become actuals, once."""

import asyncio
import json

import pytest

from streams.cli.exits import ExitCode
from streams.dispatcher.restore import Restored, catch_up
from streams.placement import lane_partition
from tests.integration.dispatcher.conftest import dispatching


def total_of(rig):
    (total,) = rig.seen.totals.values()
    return total


async def settled(books, adjustments):
    await books.rig.until(lambda: len(books.adjustments()) >= adjustments)
    await books.rig.until(lambda: total_of(books.rig).output_tokens == sum(out for _, out in books.charged().values()))


async def test_estimates_become_actuals_and_a_second_run_posts_nothing(books, penstock_reconcile):
    async with dispatching(books.rig):
        await books.calls(lost=3, answered=2)
        code, shown = await penstock_reconcile(books.log(), dry_run=True)
        assert (code, shown["found"]["differing"]["calls"], shown["asked"]) == (ExitCode.NO, 3, 0)

        code, shown = await penstock_reconcile(books.log())
        assert (code, shown["clean"], shown["asked"], shown["adjustments"]) == (ExitCode.OK, True, 3, 3), shown
        assert (shown["found"]["estimates"], shown["left"]["agreed"]) == (3, 5)
        assert shown["before"]["estimated_calls"] - shown["after"]["estimated_calls"] == 3
        await settled(books, 3)
        assert books.charged() == books.bills
        total = total_of(books.rig)
        assert (total.calls, total.estimated_calls) == (5, 0)
        assert total.cost_nanousd == sum(150 * i + 600 * o for i, o in books.bills.values())
        assert total.cost_nanousd == sum(event.cost_nanousd for event in books.rig.seen.costs)
        assert shown["after"]["cost_nanousd"] - shown["before"]["cost_nanousd"] == sum(
            e.cost_nanousd for e in books.adjustments()
        )

        code, shown = await penstock_reconcile(books.log())
        assert (code, shown["asked"], shown["adjustments"]) == (ExitCode.OK, 0, 0)
    assert len(books.adjustments()) == 3


async def test_two_runs_at_once_post_once(books, penstock_reconcile):
    async with dispatching(books.rig):
        await books.calls(lost=4, answered=0)
        path = books.log()
        runs = await asyncio.gather(*(penstock_reconcile(path) for _ in range(2)))
        await settled(books, 4)
        assert [code for code, _ in runs] == [ExitCode.OK] * 2
        await books.calls(lost=0, answered=1)  # whatever was asked for before has been folded by then
    assert sorted(event.event_id for event in books.adjustments()) == sorted(
        f"{call_id}/adjusted/1" for call_id in list(books.bills)[:4]
    )
    assert books.charged() == books.bills
    assert total_of(books.rig).estimated_calls == 0


@pytest.mark.slow
async def test_what_was_asked_while_no_dispatcher_ran_is_posted_once_when_it_is_back(books, penstock_reconcile):
    async with dispatching(books.rig):
        await books.calls(lost=2, answered=1)
    for _ in range(2):
        code, shown = await penstock_reconcile(books.log(), wait_s=0.3)
        assert (code, shown["asked"], shown["outstanding"]) == (ExitCode.TIMEOUT, 2, 2)
    async with dispatching(books.rig):
        await settled(books, 2)
    async with dispatching(books.rig):
        code, shown = await penstock_reconcile(books.log())
        assert (code, shown["asked"]) == (ExitCode.OK, 0)
    assert len(books.adjustments()) == 2
    assert books.charged() == books.bills


async def test_a_restarted_dispatcher_remembers_what_was_adjusted(books, penstock_reconcile):
    rig = books.rig
    async with dispatching(rig):
        await books.calls(lost=1, answered=0)
        await penstock_reconcile(books.log())
        await settled(books, 1)
    restored = Restored()
    await catch_up(
        restored,
        lane_partition(rig.tenant, rig.runtime.lanes),
        serde=rig.runtime.serde,
        bootstrap_servers=rig.runtime.bootstrap_servers,
        client_id="test-restore",
        security={},
    )
    (call_id,) = books.bills
    assert restored.state.adjusted[call_id].sequence == 1


async def test_a_complete_export_takes_back_what_it_lacks(books, penstock_reconcile):
    async with dispatching(books.rig):
        await books.calls(lost=2, answered=1)
        absent = next(iter(books.bills))
        code, shown = await penstock_reconcile(books.log(without=absent))
        assert (code, shown["left"]["only_ledger"]["calls"], shown["asked"]) == (ExitCode.NO, 1, 1)
        code, shown = await penstock_reconcile(books.log(without=absent), complete=True)
        assert (code, shown["asked"], shown["found"]["absent"]) == (ExitCode.OK, 1, 1), shown
        await settled(books, 2)
        assert books.charged() == books.bills | {absent: (0, 0)}
        code, shown = await penstock_reconcile(books.log(without=absent), complete=True)
        assert (code, shown["asked"]) == (ExitCode.OK, 0)


async def test_a_bill_that_is_not_ours_is_shown_and_not_posted(books, penstock_reconcile):
    async with dispatching(books.rig):
        await books.calls(lost=0, answered=1)
        code, shown = await penstock_reconcile(books.log(stranger=True))
    assert (code, shown["asked"]) == (ExitCode.NO, 0)
    (stranger,) = shown["left"]["only_provider"]["first"]
    assert (stranger["id"], stranger["input_tokens"], stranger["cost_nanousd"]) == ("stranger", 1_000, 150_000)


async def test_a_usage_report_is_compared_and_nothing_is_posted(books, penstock_reconcile, tmp_path):
    async with dispatching(books.rig):
        await books.calls(lost=1, answered=1)
        events = books.rig.seen.costs
        start = int(min(event.occurred_at for event in events).timestamp())
        result = {"model": "gpt-4o-mini-2024-07-18", "input_tokens": 17, "output_tokens": 8, "num_model_requests": 2}
        report = {
            "object": "page",
            "data": [{"object": "bucket", "start_time": start, "end_time": start + 60, "results": [result]}],
        }
        path = tmp_path / "usage.json"
        path.write_text(json.dumps(report))
        code, shown = await penstock_reconcile(path)
    (bucket,) = shown["buckets"]
    assert (code, shown["posted"], bucket["ledger_says"]["estimated_calls"]) == (ExitCode.NO, 0, 1)
    estimate = next(event.usage for event in events if event.estimated)
    assert bucket["differences"] == {"output_tokens": 8 - 5 - estimate.output_tokens} | (
        {"input_tokens": 7 - estimate.input_tokens} if estimate.input_tokens != 7 else {}
    )
    assert not books.adjustments()
