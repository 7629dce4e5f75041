"""The Java and the Go example, built with this machine's toolchains, against the running stack; skipped where there are none."""

import json
import os
import select
import shutil
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import pytest

from tests.integration.edge.conftest import Edge

pytestmark = [pytest.mark.stack, pytest.mark.slow, pytest.mark.timeout(1_200)]

EXAMPLES = Path(__file__).parents[3] / "examples"
_FETCHING = ("dial tcp", "no such host", "Could not transfer artifact", "Unknown host", "proxyconnect", "connection refused")

Argv = tuple[str, ...]


def built(argv: Argv, folder: Path) -> None:
    """Raises what the toolchain says; skips where its libraries cannot be fetched."""
    done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, timeout=900, check=False)
    said = done.stdout + done.stderr
    if done.returncode and any(sign in said for sign in _FETCHING):
        pytest.skip(f"{argv[0]} cannot fetch the libraries: {said.strip().splitlines()[-1][:200]}")
    assert done.returncode == 0, said


def go(folder: Path) -> Argv:
    if shutil.which("go") is None:
        pytest.skip("no Go on this machine")
    built(("go", "vet", "."), folder)
    built(("go", "build", "-o", "costs", "."), folder)
    return ("./costs",)


def java(folder: Path) -> Argv:
    if shutil.which("mvn") is None or shutil.which("javac") is None:
        pytest.skip("no Java compiler and Maven on this machine")
    # Help of the plugin that runs it: so that it is fetched here, too.
    built(("mvn", "-q", "--batch-mode", "compile", "exec:help"), folder)
    return ("mvn", "-q", "--batch-mode", "exec:java")


@contextmanager
def running(argv: Argv, folder: Path, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        argv, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, **environment}
    )
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


def told(edge: Edge, tenant: str) -> list[str]:
    """The lines that the ledger of the tenant makes."""
    return sorted(line(entry["record"]) for entry in edge.penstock("consume", "costs", "--tenant", tenant, "--json").lines)


def line(event: dict) -> str:
    at = datetime.fromisoformat(event["occurred_at"])
    dollars, nano = divmod(event["cost_nanousd"], 10**9)
    names = (event[name] for name in ("tenant", "deployment", "kind", "request_id"))
    return " ".join((f"{at:%Y-%m-%dT%H:%M:%SZ}", *names, f"${dollars}.{nano:09d}"))


@pytest.mark.parametrize("prepare", [go, java], ids=lambda prepare: prepare.__name__)
def test_it_prints_every_cost_event_and_each_new_one(edge: Edge, tmp_path: Path, prepare: Callable[[Path], Argv]) -> None:
    folder = tmp_path / prepare.__name__
    shutil.copytree(EXAMPLES / prepare.__name__, folder)
    argv = prepare(folder)
    tenant = f"example-{uuid.uuid4().hex[:8]}"

    def ask(count: int) -> None:
        for _ in range(count):
            assert edge.penstock("ask", f"{uuid.uuid4()}", "--tenant", tenant).code == 0

    ask(2)
    stack = json.loads((edge.data_dir / "stack.json").read_text())
    addresses = (stack["bootstrap_servers"], stack["schema_registry_url"])
    if prepare is java:
        argv = (*argv, f"-Dexec.args={' '.join(addresses)}")
        addresses = ()
    with running((*argv, *addresses), folder) as process:
        found = read_lines(process, lambda text: f" {tenant} " in text, 2)
        ask(1)
        found += read_lines(process, lambda text: f" {tenant} " in text, 1)
    assert sorted(found) == told(edge, tenant)
