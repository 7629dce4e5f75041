"""The whole pipeline on an embedded stack, several processes a role, in front of simulated providers; some are not there."""

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from machine import ROOT
from rig import data_dir, inherited, show_trouble
from stages import clean

from choices_stages.asking import Asker
from schemas.calls import CallOrdered, CallReported
from schemas.serde import Serde
from streams import topics
from streams.beginning import Beginning
from streams.cli.reading import open_reader
from streams.embedded.plan import StackPlan
from streams.embedded.ports import LOOPBACK, free_port
from streams.embedded.stack import Stack
from streams.settings import Settings
from streams.simulator import call_log
from streams.simulator.call_log import Call

R = TypeVar("R")
WORKERS = 2
NO_VALKEY = ""
"""An address for the stack, which then starts none, and none for the workers, to whom an empty variable is not set."""


@dataclass(frozen=True, slots=True)
class Provider:
    """A provider of one deployment. `profile` is the simulator's; None: it refuses connections. `limits` are the catalogue's."""

    profile: Mapping[str, Any] | None = field(default_factory=dict)
    limits: Mapping[str, int] = field(default_factory=dict)
    timeout_s: float = 30.0


@dataclass(frozen=True, slots=True)
class Site:
    """What a stage runs on. `policy` is the preset that routes."""

    providers: Mapping[str, Provider]
    policy: str = "cheapest-healthy"
    valkey: bool = True


@dataclass(frozen=True, slots=True)
class Ground:
    """A running site."""

    stack: Stack
    asker: Asker
    call_log: Path

    def calls(self) -> list[Call]:
        """What reached the providers, in the order of its arrival there."""
        return sorted(call_log.read(self.call_log), key=lambda call: call.t_in)

    async def reports(self) -> list[CallReported]:
        return await self._all((topics.ATTEMPTS,), CallReported)

    async def orders(self, providers: tuple[str, ...]) -> list[CallOrdered]:
        return await self._all(tuple(topics.calls(provider) for provider in providers), CallOrdered)

    async def check(self) -> None:
        """`penstock verify` over all that was asked. Raises RuntimeError when it is not clean."""
        await clean(self.stack.settings, self.call_log)

    async def _all(self, names: tuple[str, ...], kind: type[R]) -> list[R]:
        decode = Serde().of(kind).decode
        async with open_reader(self.stack.settings, names) as reader:
            ends = await reader.ends()
            await reader.seek(Beginning())
            return [decode(record.value) async for record in reader.until(ends)]


@asynccontextmanager
async def open_ground(site: Site) -> AsyncIterator[Ground]:
    """The site, running; when something fails its data stays, and where is said."""
    with data_dir() as folder:
        calls = folder / "calls.jsonl"
        async with _simulator(site, folder, calls) as url:
            catalogue = folder / "deployments.json"
            catalogue.write_text(json.dumps(_catalogue(site, url)), encoding="utf-8")
            async with (
                Stack(_plan(site, folder, catalogue), on_event=show_trouble) as stack,
                Asker(stack.bootstrap_servers) as asker,
            ):
                yield Ground(stack, asker, calls)


def _plan(site: Site, folder: Path, catalogue: Path) -> StackPlan:
    settings: dict[str, Any] = {"data_dir": folder / "data", "deployments_file": catalogue, "lost_grace_s": 2.0}
    if not site.valkey:
        settings["redis_url"] = NO_VALKEY
    names = tuple(site.providers)
    roles = ("intake", "dispatch", *(f"calls:{name}" for name in names))
    return StackPlan(
        settings=Settings(_env_file=None, **settings),
        providers=names,
        roles={**dict.fromkeys(roles, WORKERS), "tables": 1},
        environment=inherited(),
        simulator=False,
    )


def _catalogue(site: Site, url: str) -> dict[str, Any]:
    """One deployment a provider, all at one price."""
    refused = f"http://{LOOPBACK}:{free_port()}"
    price = {"input_usd_per_million": 1, "output_usd_per_million": 2}
    return {
        "version": "bench",
        "providers": {
            name: {"kind": "openai", "address": f"{refused if provider.profile is None else url}/{name}/v1"}
            for name, provider in site.providers.items()
        },
        "deployments": [
            {"provider": name, "model": f"model-{name}", "price": price, "timeout_s": provider.timeout_s, **provider.limits}
            for name, provider in site.providers.items()
        ],
        "routing": {"default": site.policy},
    }


@asynccontextmanager
async def _simulator(site: Site, folder: Path, calls: Path) -> AsyncIterator[str]:
    """The simulator of all providers that are there, in a process of its own; gives its address."""
    profiles = folder / "profiles.json"
    played = {name: dict(provider.profile) for name, provider in site.providers.items() if provider.profile is not None}
    profiles.write_text(json.dumps({"seed": 1, "providers": played}), encoding="utf-8")
    arguments = ("--json", "--call-log", str(calls), "--profile", str(profiles))
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "streams.simulator", *arguments, stdout=PIPE, env=environment
    )
    try:
        assert process.stdout is not None
        line = await process.stdout.readline()
        if not line:
            raise RuntimeError("the simulator did not start; see its message above")
        yield str(json.loads(line)["url"])
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()
