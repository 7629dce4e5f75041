"""What the ledger says about the token estimate reaches the next request: from its end, and as it grows."""

import asyncio
import uuid
from dataclasses import replace
from math import ceil
from pathlib import Path

import pytest

from schemas.calls import Usage
from schemas.ledger import CostEvent, CostKind
from schemas.requests import InferenceRequest, Message
from schemas.routing import RequestRouted
from streams import topics
from streams.agents import intake
from streams.agents.calibration import TokenCalibration
from streams.publisher import Outgoing
from streams.runtime import Runtime, open_runtime
from streams.settings import Settings
from tests.contract.records import EXAMPLES
from tests.integration.agents.conftest import WAIT_S, Log, publish, running
from tests.integration.cli.command import Penstock

pytestmark = [pytest.mark.stack, pytest.mark.usefixtures("topics_made")]

CATALOGUE = """
providers: {{{name}: {{kind: openai, address: "http://127.0.0.1:1/v1"}}}}
deployments:
  - {{provider: {name}, model: known, price: {{input_usd_per_million: 1, output_usd_per_million: 1}}}}
  - {{provider: {name}, model: new, price: {{input_usd_per_million: 2, output_usd_per_million: 2}}}}
"""


@pytest.fixture
def provider() -> str:
    return f"p{uuid.uuid4().hex[:8]}"


@pytest.fixture
def fleet(settings: Settings, provider: str, tmp_path: Path) -> Settings:
    """A catalogue of two models that no other test calls."""
    catalogue = tmp_path / "deployments.yaml"
    catalogue.write_text(CATALOGUE.format(name=provider))
    return settings.model_copy(update={"deployments_file": catalogue, "simulator_url": None})


def lines(runtime: Runtime, provider: str, model: str, reported: int, count: int) -> list[Outgoing]:
    """The ledger's lines of calls that were estimated at 100 input tokens."""
    line = replace(
        EXAMPLES["CostEvent"], kind=CostKind.CALL, provider=provider, model=model, usage=Usage(reported, 5),
        input_tokens_estimate=100,
    )  # fmt: skip
    return [Outgoing(topics.COSTS, line.tenant, runtime.serde.of(CostEvent).encode(line))] * count


async def test_intake_reckons_with_what_the_ledger_says_and_the_command_shows_it(
    fleet: Settings, provider: str, tenant: str, tmp_path: Path
) -> None:
    async with open_runtime(fleet, "before") as runtime:
        await publish(runtime, lines(runtime, provider, "known", 150, 120) + lines(runtime, provider, "new", 300, 99))
    shown = await asyncio.to_thread(
        Penstock(tmp_path), "calibration", "--json", "--bootstrap-servers", str(fleet.bootstrap_servers)
    )
    found = {row["model"]: row for row in shown.json["models"] if row["provider"] == provider}
    assert [(found[m]["calls"], found[m]["used"]) for m in ("known", "new")] == [(120, True), (99, False)]
    factor = found["known"]["factor"]
    assert 1.5 <= factor <= 1.52
    async with running(intake.run, fleet, "intake") as runtime:
        request = InferenceRequest("r1", tenant, "auto", messages=(Message("user", "What is 2 + 2?"),))
        await publish(runtime, [Outgoing(topics.REQUESTS, tenant, runtime.serde.encode(request))])
        (routed,) = await Log(fleet, runtime.serde).read(
            topics.ROUTED, RequestRouted, where=lambda r: r.tenant == tenant, count=1
        )
    decided: RequestRouted = routed.record
    bounds = {c.model: c.input_tokens_bound for c in decided.candidates}
    assert bounds == {"known": ceil(decided.input_tokens_estimate * factor), "new": None}


async def test_factors_follow_the_ledger_and_stay_when_nothing_has_changed(fleet: Settings, provider: str) -> None:
    key = (provider, "known")
    async with open_runtime(fleet, "intake") as runtime:
        async with TokenCalibration(runtime, every_s=0.1).following() as calibration:
            await calibration.looked()
            assert key not in calibration.factors
            await publish(runtime, lines(runtime, provider, "known", 150, 60))
            await asyncio.sleep(1.0)
            assert key not in calibration.factors, "too few calls"
            await publish(runtime, lines(runtime, provider, "known", 150, 60))
            factor = await _changed(calibration, key, None)
            assert 1.5 <= factor <= 1.52
            await publish(runtime, lines(runtime, provider, "known", 151, 60))
            await asyncio.sleep(1.0)
            assert calibration.factors[key] == factor
            await publish(runtime, lines(runtime, provider, "known", 200, 60))
            assert 2.0 <= await _changed(calibration, key, factor) <= 2.03
        async with TokenCalibration(runtime).following() as restarted:
            await restarted.looked()
            assert 2.0 <= restarted.factors[key] <= 2.03


async def _changed(calibration: TokenCalibration, key: tuple[str, str], before: float | None) -> float:
    async with asyncio.timeout(WAIT_S):
        while (factor := calibration.factors.get(key)) == before or factor is None:  # noqa: ASYNC110 - it changes in place
            await asyncio.sleep(0.05)
    return factor
