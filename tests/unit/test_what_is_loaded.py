"""A process loads what it uses. Importing is most of a start, and a stack has a dozen processes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from streams.roles import module_of

ROOT = Path(__file__).parents[2]

WORKER = ("streams.cli.main", "streams.cli.working")
NEVER = {
    "torch",
    "transformers",
    "textual",
    "sklearn",
    "confluent_kafka",
    "jgo",
    "requests",
    "streams.verify.check",
}
PRICES = {"genai_prices", "httpx2"}
SDKS = {"openai", "anthropic"}
VECTORS = {"numpy", "tokenizers", "usearch"}
SERVER = {"starlette", "granian"}

PROCESSES = {
    "intake": ((*WORKER, module_of("intake")), SDKS | SERVER),
    "dispatch": ((*WORKER, module_of("dispatch")), SDKS | SERVER | VECTORS | {"aiohttp", "faust", "redis"}),
    "tables": ((*WORKER, module_of("tables")), SDKS | SERVER | VECTORS | PRICES),
    "health": ((*WORKER, module_of("health")), SDKS | SERVER | VECTORS | PRICES | {"aiohttp", "faust", "redis"}),
    "calls": ((*WORKER, module_of("calls:openai")), SDKS | SERVER | VECTORS | PRICES | {"limits", "redis"}),
    "edge": ((*WORKER, module_of("edge")), SDKS | VECTORS | PRICES | {"streams.simulator.server", "aiohttp", "faust", "redis"}),
    "webhooks": ((*WORKER, module_of("webhooks")), SDKS | SERVER | VECTORS | PRICES | {"faust", "redis"}),
    "simulator": (("streams.simulator.__main__",), SDKS | VECTORS | PRICES | {"aiokafka", "faust", "fastavro", "redis", "rich"}),
    "catalogue": (("streams.edge.catalogue",), SDKS | SERVER | VECTORS | PRICES | {"aiokafka", "faust", "pydantic", "rich"}),
    "help": (("streams.cli.main",), {"aiokafka", "asyncio", "pydantic", "rich", "structlog", "yaml"}),
    "up": (("streams.cli.main", "streams.cli.running"), SDKS | SERVER | VECTORS | PRICES | {"aiohttp", "faust", "redis"}),
}


@pytest.mark.parametrize("process", PROCESSES)
def test_it_loads_what_it_uses(process: str) -> None:
    modules, idle = PROCESSES[process]

    loaded = loaded_by(modules)

    assert set(modules) <= loaded
    assert (NEVER | idle) & loaded == set()


def loaded_by(modules: tuple[str, ...]) -> set[str]:
    """All that a process has loaded once it has imported these."""
    code = f"import sys, {', '.join(modules)}; print(*sys.modules)"
    ran = subprocess.run(
        [sys.executable, "-P", "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return set(ran.stdout.split())
