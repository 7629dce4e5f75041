"""The Java and the Go example, built with this machine's toolchains, against the running stack; skipped where there are none."""

import asyncio
import json
import os
import select
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from schemas.ledger import CostEvent
from schemas.outcomes import ResponseStatus
from streams.client import Penstock
from tests.integration.edge.conftest import Edge
from tests.integration.edge.examples import Argv, Examples

pytestmark = [pytest.mark.stack, pytest.mark.timeout(900)]


def go(folder: Path, addresses: Argv) -> Argv:
    return (str(folder / "costs"), *addresses)


def java(_: Path, addresses: Argv) -> Argv:
    return ("mvn", "-q", "--batch-mode", "--offline", "exec:java", f"-Dexec.args={' '.join(addresses)}")


@pytest.mark.parametrize("run", [go, java], ids=lambda run: run.__name__)
def test_it_prints_every_cost_event_and_each_new_one(edge: Edge, examples: Examples, run: Callable[[Path, Argv], Argv]) -> None:
    folder = examples.built(run.__name__)
    stack = json.loads((edge.data_dir / "stack.json").read_text())
    tenant = f"example-{uuid.uuid4().hex[:8]}"
    asyncio.run(ask(edge, tenant, 2))
    with running(run(folder, (stack["bootstrap_servers"], stack["schema_registry_url"])), folder) as process:
        found = read_lines(process, lambda text: f" {tenant} " in text, 2)
        asyncio.run(ask(edge, tenant, 1))
        found += read_lines(process, lambda text: f" {tenant} " in text, 1)
    assert sorted(found) == asyncio.run(told(edge, tenant, 3))


async def ask(edge: Edge, tenant: str, count: int) -> None:
    async with Penstock(data_dir=edge.data_dir, tenant=tenant) as client:
        for _ in range(count):
            answer = await client.ask(messages=[{"role": "user", "content": f"{uuid.uuid4()}"}], timeout_s=60)
            assert answer.status is ResponseStatus.OK


async def told(edge: Edge, tenant: str, count: int) -> list[str]:
    """The lines that the ledger of the tenant makes, once it has so many."""
    lines: list[str] = []
    async with Penstock(data_dir=edge.data_dir) as client, asyncio.timeout(60):
        async for record in client.consume("ai.costs", group=None):
            if isinstance(record.value, CostEvent) and record.value.tenant == tenant:
                lines.append(line(record.value))
                if len(lines) == count:
                    break
    return sorted(lines)


def line(event: CostEvent) -> str:
    assert event.cost_nanousd is not None
    dollars, nano = divmod(event.cost_nanousd, 10**9)
    names = (event.tenant, event.deployment, event.kind.value, event.request_id)
    return " ".join((f"{event.occurred_at:%Y-%m-%dT%H:%M:%SZ}", *names, f"${dollars}.{nano:09d}"))


@contextmanager
def running(argv: Argv, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(argv, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        yield process
    finally:
        process.kill()
        process.wait(20)
        for pipe in (process.stdout, process.stderr):
            pipe.close()


def read_lines(
    process: subprocess.Popen[bytes], wanted: Callable[[str], bool], count: int, *, timeout_s: float = 120
) -> list[str]:
    """So many lines that are wanted, as they come."""
    found: list[str] = []
    rest, give_up = b"", time.monotonic() + timeout_s
    while len(found) < count:
        left_s = give_up - time.monotonic()
        assert left_s > 0, f"{found} and no more"
        if not select.select([process.stdout], [], [], min(left_s, 1.0))[0]:
            continue
        block = os.read(process.stdout.fileno(), 65_536)
        assert block, process.stderr.read().decode()
        *lines, rest = (rest + block).split(b"\n")
        found += [line for line in (raw.decode() for raw in lines) if wanted(line)]
    return found
