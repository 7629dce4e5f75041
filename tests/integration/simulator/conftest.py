"""A simulator in the test's own loop, with a call log, and clients for it."""

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from anthropic import AsyncAnthropic
from openai import AsyncOpenAI

from streams.simulator.running import Running, serve
from streams.simulator.settings import SimulatorSettings


@pytest.fixture
def call_log(tmp_path: Path) -> Path:
    return tmp_path / "calls.jsonl"


@pytest.fixture
async def simulator(call_log: Path) -> AsyncIterator[Running]:
    settings = SimulatorSettings(call_log=call_log, provider_ports={"deepseek": 0})
    async with await serve(settings) as running:
        yield running


@pytest.fixture
async def openai(simulator: Running) -> AsyncIterator[AsyncOpenAI]:
    url = f"{simulator.url_of('openai')}/v1"
    async with AsyncOpenAI(base_url=url, api_key="simulated", max_retries=0, timeout=10) as client:
        yield client


@pytest.fixture
async def anthropic(simulator: Running) -> AsyncIterator[AsyncAnthropic]:
    url = simulator.url_of("anthropic")
    async with AsyncAnthropic(base_url=url, api_key="simulated", max_retries=0, timeout=10) as client:
        yield client


@pytest.fixture
async def http(simulator: Running) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(base_url=simulator.url, timeout=aiohttp.ClientTimeout(total=10)) as session:
        yield session
