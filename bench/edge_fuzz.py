"""Sends an edge what its OpenAPI document allows, and what it does not, and fails on every answer of 500 or above.

Half of the time goes to the document as it is. The other half goes to requests that are sound and name no model, so that
providers are asked: what comes of them must be what the document says.

    python bench/edge_fuzz.py [--minutes 10] [--seed N]

schemathesis stands in an environment of its own under `.penstock/bench/`; the stack is the embedded one, with the simulator.
"""

import argparse
import asyncio
import copy
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from gateways import HOME, INSTALL_S, Skipped
from machine import ROOT
from rig import data_dir, inherited, show_trouble

from streams.embedded.assembly import EDGE
from streams.embedded.plan import StackPlan, every_role
from streams.embedded.stack import Stack
from streams.settings import Settings

_PROVIDERS = ("openai", "anthropic")
_EDGES = 2
_REQUEST_TIMEOUT_S = 60
"""Of one request: streams end with their requests, and these time out at the simulator at the latest."""
_STREAMS = r"^/v1/(live|requests/.+/events)$"
"""They end when their reader leaves."""
_DEADLINE = "x-penstock-timeout"
_ASKING = r"^/v1/(chat/completions|completions|embeddings|responses|messages.*|requests)$"
_CONFORM = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int)
    options = parser.parse_args()
    try:
        code = asyncio.run(run(options.minutes, options.seed))
    except Skipped as reason:
        sys.exit(str(reason))
    sys.exit(code)


async def run(minutes: float, seed: int | None) -> int:
    """schemathesis' own exit code: 0 when it found nothing."""
    program = await _installed()
    with data_dir() as folder:
        plan = StackPlan(
            settings=Settings(_env_file=None, data_dir=folder),
            providers=_PROVIDERS,
            roles={**every_role(_PROVIDERS), EDGE: _EDGES},
            environment=inherited(),
            simulator=True,
        )
        async with Stack(plan, on_event=show_trouble) as stack:
            key = await _key(folder)
            edge = Edge(program, f"http://127.0.0.1:{stack.settings.edge_port}", key, round(minutes * 30), seed)
            document = await edge.document()
            anything = await edge.fuzzed(
                _written(folder / "anything.json", without(document, {_DEADLINE})),
                *("--checks", "not_a_server_error", "--exclude-path-regex", _STREAMS),
            )
            sound = await edge.fuzzed(
                _written(folder / "sound.json", naming_no_model(without(document, {_DEADLINE, "Idempotency-Key"}))),
                *("--checks", _CONFORM, "--mode", "positive", "--include-path-regex", _ASKING),
            )
            return max(anything, sound)


async def _installed() -> Path:
    """The program. Raises Skipped when it cannot be had."""
    venv = HOME / "schemathesis"
    if not (venv / "bin" / "python").exists():
        await _run(sys.executable, "-m", "venv", str(venv))
    program = venv / "bin" / "schemathesis"
    if not program.exists():
        install = ("-m", "pip", "--disable-pip-version-check", "install", "--quiet", "schemathesis>=4,<5")
        await _run(str(venv / "bin" / "python"), *install)
    return program


async def _run(*argv: str) -> None:
    process = await asyncio.create_subprocess_exec(*argv)
    try:
        async with asyncio.timeout(INSTALL_S):
            failed = await process.wait()
    except TimeoutError:
        process.kill()
        failed = await process.wait()
    if failed:
        raise Skipped(f"schemathesis cannot be installed: {' '.join(argv[:5])} failed")


async def _key(folder: Path) -> str:
    """A key that may do everything."""
    roles = [part for role in ("publish", "read", "admin") for part in ("--role", role)]
    command = (sys.executable, "-P", "-m", "streams.cli.main", "keys", "create", "--tenant", "fuzz", *roles, "--json")
    process = await asyncio.create_subprocess_exec(
        *command,
        "--data-dir",
        str(folder),
        stdout=asyncio.subprocess.PIPE,
        env={**inherited(), "PYTHONPATH": str(ROOT)},
    )
    out, _ = await process.communicate()
    return str(json.loads(out)["key"])


@dataclass(frozen=True, slots=True)
class Edge:
    """A running edge, and the program that is let loose on it for so many seconds at a time."""

    program: Path
    address: str
    key: str
    seconds: int
    seed: int | None

    async def fuzzed(self, document: Path, *options: str) -> int:
        """Its exit code: 0 when it found nothing."""
        command = (
            *(str(self.program), "run", str(document), "--url", self.address, "--no-color", "--continue-on-failure"),
            *("--header", f"Authorization: Bearer {self.key}", "--request-timeout", str(_REQUEST_TIMEOUT_S)),
            *("--max-time", str(self.seconds), "--workers", "1"),
            *(("--seed", str(self.seed)) if self.seed is not None else ()),
            *options,
        )
        process = await asyncio.create_subprocess_exec(*command, cwd=HOME, env=inherited())
        return await process.wait()

    async def document(self) -> dict[str, Any]:
        async with aiohttp.ClientSession() as session, session.get(f"{self.address}/openapi.json") as answer:
            found: dict[str, Any] = await answer.json()
        return found


def without(document: dict[str, Any], headers: set[str]) -> dict[str, Any]:
    """The document without these headers: a deadline that is too short is answered 504, as it should be."""
    changed = copy.deepcopy(document)
    for operation in (each for methods in changed["paths"].values() for each in methods.values()):
        operation["parameters"] = [each for each in operation.get("parameters", ()) if each["name"] not in headers]
    return changed


def naming_no_model(document: dict[str, Any]) -> dict[str, Any]:
    """The document with `auto` as the only model that may be asked."""
    changed = copy.deepcopy(document)
    for name, schema in changed["components"]["schemas"].items():
        if name.endswith("Request") and "model" in schema.get("properties", {}):
            schema["properties"]["model"] = {"const": "auto"}
    return changed


def _written(path: Path, document: dict[str, Any]) -> Path:
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


if __name__ == "__main__":
    main()
