"""What one worker finds out all processes know: circuits, alerts that are told once, probes that one process makes."""

import asyncio
import itertools
from dataclasses import replace
from pathlib import Path

import pytest

from processors.health.fold import Circuit
from schemas.calls import FailureKind
from schemas.health import HealthOutcome
from schemas.ledger import CostEvent, CostKind, PricingStatus
from streams import clock, topics
from streams.agents.health_view import HealthView
from streams.cli.exits import ExitCode
from streams.publisher import Outgoing
from streams.simulator.profile_text import parse_option, with_rule
from streams.simulator.profiles import Profile, Profiles
from tests.contract.records import EXAMPLES
from tests.integration.cli.command import Penstock
from tests.integration.health.conftest import Fleet, until

pytestmark = pytest.mark.stack


async def test_a_circuit_that_one_worker_opens_is_open_for_all_and_after_a_restart(fleet: Fleet) -> None:
    told: list[tuple[str, bool]] = []
    one, other = fleet.view(), fleet.view()
    one.on_circuit(lambda deployment, down: told.append((deployment, down)))

    async with one.following(), other.following():
        await fleet.fail(fleet.busy, "server_error", 4)
        await fleet.publish(fleet.event(fleet.busy, failure_kind="unreachable", worker="w2"))
        await until(lambda: all(_is_open(fleet.busy, view) for view in (one, other)))
        assert [word for word in told if word[0] == fleet.busy] == [(fleet.busy, True)]
    async with fleet.view().following() as restarted:
        assert restarted.deployments[fleet.busy].circuit(clock.now()) is Circuit.OPEN
        late: list[tuple[str, bool]] = []
        restarted.on_circuit(lambda deployment, down: late.append((deployment, down)))
        assert (fleet.busy, True) in late
        await fleet.publish(fleet.event(fleet.busy))
        await until(lambda: (fleet.busy, False) in late)
        assert restarted.deployments[fleet.busy].circuit(clock.now()) is Circuit.CLOSED


@pytest.mark.slow
async def test_a_refused_key_opens_at_once_and_is_told_once_across_restarts_until_it_is_taken(
    fleet: Fleet, tmp_path: Path
) -> None:
    raised = ("unauthorized", "busy", "RAISED")
    await fleet.fail(fleet.busy, "unauthorized", 1)
    await fleet.fail(fleet.idle, "rate_limited", 100)
    async with fleet.watching(), fleet.view().following() as view:
        await until(lambda: _said(fleet, raised))
        assert view.deployments[fleet.busy].circuit(clock.now()) is Circuit.OPEN
        assert view.deployments[fleet.idle].circuit(clock.now()) is Circuit.CLOSED
    shown = await asyncio.to_thread(
        Penstock(tmp_path), "health", "--json", "--bootstrap-servers", str(fleet.settings.bootstrap_servers)
    )
    assert shown.code == ExitCode.NO
    (found,) = shown.lines
    circuits = {row["deployment"]: row["circuit"] for row in found["deployments"]}
    assert (circuits[fleet.busy], circuits[fleet.idle]) == ("open", "closed")
    assert fleet.busy in {row["subject"] for row in found["alerts"]}
    async with fleet.watching():
        await asyncio.sleep(3.0)
        await fleet.publish(fleet.event(fleet.busy))
        await until(lambda: _said(fleet, ("unauthorized", "busy", "RESOLVED")))
    assert await fleet.alerts() == [raised, ("unauthorized", "busy", "RESOLVED")]


async def test_failing_calls_and_calls_of_unknown_price_are_told(fleet: Fleet) -> None:
    cost = EXAMPLES["CostEvent"]
    assert isinstance(cost, CostEvent)
    unpriced = replace(
        cost, kind=CostKind.CALL, provider=fleet.provider, model="new", pricing_status=PricingStatus.UNKNOWN, cost_nanousd=None
    )
    codec = fleet.runtime.serde.of(CostEvent)
    async with fleet.watching():
        await fleet.publish(*(fleet.event(fleet.busy) for _ in range(45)))
        await fleet.fail(fleet.busy, "server_error", 4)
        await fleet.runtime.publisher.send_all([Outgoing(topics.COSTS, unpriced.tenant, codec.encode(unpriced))] * 3)
        await until(lambda: _said(fleet, ("failing", "busy", "RAISED"), ("unknown_price", "new", "RAISED")))
        await asyncio.sleep(2.5)
    assert sorted(await fleet.alerts()) == [("failing", "busy", "RAISED"), ("unknown_price", "new", "RAISED")]


@pytest.mark.parametrize("ended", [pytest.param(0, marks=pytest.mark.slow), 1])
async def test_whichever_of_two_members_ends_the_other_goes_on(fleet: Fleet, ended: int) -> None:
    async with fleet.watching(members=2) as members:
        await fleet.fail(fleet.busy, "unauthorized", 1)
        await until(lambda: _said(fleet, ("unauthorized", "busy", "RAISED")))
        members[ended].cancel()
        await asyncio.wait({members[ended]})
        await fleet.publish(fleet.event(fleet.busy))
        await until(lambda: _said(fleet, ("unauthorized", "busy", "RESOLVED")))
    assert await fleet.alerts() == [("unauthorized", "busy", "RAISED"), ("unauthorized", "busy", "RESOLVED")]


async def test_only_idle_deployments_are_probed_once_a_fleet_and_an_outage_is_found(fleet: Fleet) -> None:
    fleet.settings = fleet.settings.model_copy(update={"probe_after_s": 2.0, "probe_every_s": 1.0})
    working = asyncio.create_task(_work(fleet))
    try:
        async with fleet.watching(members=2):
            await until(lambda: _probed(fleet, HealthOutcome.SUCCESS, 3))
            down = with_rule(Profiles(default=Profile()), *parse_option(f"{fleet.provider}=http_503"))
            fleet.simulator.simulator.set_profiles(down, changed=fleet.provider)
            await until(lambda: _probed(fleet, HealthOutcome.FAILURE, 2))
    finally:
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
    probes = await fleet.probes()
    assert {probe.deployment for probe in probes} == {fleet.idle}
    assert {FailureKind(p.failure_kind) for p in probes if p.failure_kind} == {FailureKind.OVERLOADED}
    asked_at = sorted(probe.observed_at for probe in probes)
    assert all((later - earlier).total_seconds() > 0.5 for earlier, later in itertools.pairwise(asked_at))


def _is_open(deployment: str, view: HealthView) -> bool:
    return deployment in view.deployments and view.deployments[deployment].circuit(clock.now()) is Circuit.OPEN


async def _said(fleet: Fleet, *wanted: tuple[str, str, str]) -> bool:
    return set(wanted) <= set(await fleet.alerts())


async def _probed(fleet: Fleet, outcome: HealthOutcome, count: int) -> bool:
    return sum(probe.outcome is outcome for probe in await fleet.probes()) >= count


async def _work(fleet: Fleet) -> None:
    while True:
        await fleet.publish(fleet.event(fleet.busy))
        await asyncio.sleep(0.2)
