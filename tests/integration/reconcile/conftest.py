"""The dispatcher's own rig, and a provider's log beside it."""

import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import pytest

from schemas.calls import Billing, CallOrdered, FailureKind, Usage
from schemas.ledger import CostEvent, CostKind
from streams import clock
from streams.cli.exits import ExitCode
from streams.cli.reconciling import Request, run
from streams.simulator.call_log import ARRIVED, FINISHED, line_of
from tests.fakes.records import CHEAP, completed, failed
from tests.integration.dispatcher.conftest import Rig, broker, rig, settings  # noqa: F401 - fixtures


@dataclass
class Books:
    """What the provider bills, in the simulator's words."""

    rig: Rig
    path: Path
    bills: dict[str, tuple[int, int]] = field(default_factory=dict)
    began_s: float = field(default_factory=lambda: clock.now().timestamp())

    async def calls(self, lost: int, answered: int) -> None:
        """Requests whose calls failed with an unknown bill, and others that were answered; each is charged when it returns."""
        seen = self.rig.seen
        before = len(seen.orders), len(seen.costs)
        names = [f"{uuid.uuid4().hex[:8]}-{n}" for n in range(lost + answered)]
        await self.rig.publish(*(self.rig.routed(name, candidates=(CHEAP,)) for name in names))
        await self.rig.until(lambda: len(seen.orders) == before[0] + len(names))
        for n, order in enumerate(seen.orders[before[0] :]):
            await self._end(order, is_lost=n < lost)
        await self.rig.until(lambda: len(seen.costs) == before[1] + len(names))

    async def _end(self, order: CallOrdered, *, is_lost: bool) -> None:
        call_id, about = uuid.uuid4().hex, self.rig.about(order)
        await self.rig.publish(self.rig.started(order, call_id))
        if is_lost:
            await self.rig.publish(failed(call_id, FailureKind.REJECTED, Billing.UNKNOWN, **about))
            self.bills[call_id] = (7, 3 + len(self.bills))
        else:
            await self.rig.publish(completed(call_id, usage=Usage(10, 5), **about))
            self.bills[call_id] = (10, 5)

    def log(self, *, without: str | None = None, stranger: bool = False) -> Path:
        """The provider's log as it stands, from before these calls until now: other tests' calls on this Kafka are outside."""
        now_s = clock.now().timestamp()
        calls: list[tuple[str | None, float, tuple[int, int]]] = [(None, self.began_s, (0, 0)), (None, now_s, (0, 0))]
        calls += [(call_id, now_s, bill) for call_id, bill in self.bills.items() if call_id != without]
        calls += [("stranger", now_s, (1_000, 0))] if stranger else []
        with self.path.open("wb") as log:
            for seq, (call_id, t_in, bill) in enumerate(calls):
                for event in (ARRIVED, FINISHED):
                    log.write(_line(event, seq, call_id, t_in, bill))
        return self.path

    def adjustments(self) -> list[CostEvent]:
        return [event for event in self.rig.seen.costs if event.kind is CostKind.ADJUSTED]

    def charged(self) -> dict[str, tuple[int, int]]:
        """The ledger's tokens by call, adjustments included."""
        sums: dict[str, tuple[int, int]] = {}
        for event in self.rig.seen.costs:
            have = sums.get(str(event.call_id), (0, 0))
            usage = event.usage or Usage(0, 0)
            sums[str(event.call_id)] = have[0] + usage.input_tokens, have[1] + usage.output_tokens
        return sums


@pytest.fixture
async def books(rig: Rig, tmp_path: Path) -> Books:  # noqa: F811 - the fixture
    return Books(rig, tmp_path / "calls.jsonl")


@pytest.fixture
def penstock_reconcile(rig: Rig, capfdbinary: pytest.CaptureFixture[bytes]):  # noqa: F811 - the fixture
    """The command's own code, in this process: its exit code and its JSON."""

    async def reconcile(path: Path, **options: Any) -> tuple[ExitCode, dict[str, Any]]:
        defaults = {
            "format_name": "auto",
            "provider": None,
            "dry_run": False,
            "complete": False,
            "first": None,
            "last": None,
            "margin_s": 0.0,
            "wait_s": 20.0,
        }
        request = Request.of(path, **(defaults | options))
        code = await run(request, rig.runtime.bootstrap_servers, None, most=5, as_json=True)
        lines = capfdbinary.readouterr().out.splitlines()
        return code, orjson.loads(lines[-1]) if lines else {}

    return reconcile


def _line(event: str, seq: int, call_id: str | None, t_in: float, bill: tuple[int, int]) -> bytes:
    return line_of(
        event,
        run="r",
        seq=seq,
        call_id=call_id,
        request_id=None,
        provider="openai",
        model="gpt-4o-mini",
        t_in=t_in,
        bytes_out=0,
        input_tokens=bill[0],
        output_tokens=bill[1],
        completed=True,
        status=200,
        fault=None,
    )
