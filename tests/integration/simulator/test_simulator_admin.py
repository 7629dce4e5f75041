"""Profiles at run time, counters, and ports that refuse."""

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from schemas.errors import SettingsError
from streams.simulator.faults import FaultRule, parse
from streams.simulator.profiles import Profile, Profiles
from streams.simulator.running import Running, serve
from streams.simulator.settings import SimulatorSettings

BODY = {"model": "m", "messages": [{"role": "user", "content": "[[sim in=5 out=2]]"}]}


async def statuses(http: aiohttp.ClientSession, calls: int, provider: str = "openai") -> list[int]:
    found = []
    for _ in range(calls):
        async with http.post(f"/{provider}/v1/chat/completions", json=BODY) as reply:
            await reply.read()
            found.append(reply.status)
    return found


async def put(http: aiohttp.ClientSession, provider: str, profile: dict[str, Any]) -> tuple[int, Any]:
    async with http.put(f"/_sim/profiles/{provider}", json=profile) as reply:
        return reply.status, await reply.json()


async def test_a_profile_changes_while_it_runs_and_counts_from_there(http: aiohttp.ClientSession) -> None:
    assert await statuses(http, 3) == [200] * 3
    status, shown = await put(http, "openai", {"faults": [{"fault": "http_503", "every": 2}, {"fault": "http_429", "first": 3}]})
    assert status == 200
    assert shown["providers"]["openai"]["faults"][0] == {"fault": "http_503", "every": 2}
    assert await statuses(http, 6) == [429, 503, 429, 503, 200, 503]
    assert await statuses(http, 2, "groq") == [200, 200]
    async with http.delete("/_sim/profiles/openai") as reply:
        assert reply.status == 200
    assert await statuses(http, 3) == [200] * 3


async def test_the_default_profile_reaches_providers_without_their_own(http: aiohttp.ClientSession) -> None:
    await put(http, "openai", {})
    await put(http, "default", {"faults": [{"fault": "http_500", "first": 1}]})
    assert await statuses(http, 2, "groq") == [500, 200]
    assert await statuses(http, 2) == [200, 200]


@pytest.mark.parametrize(
    "bad", [{"faults": [{"fault": "nope"}]}, {"unknown": 1}, {"first_token_ms": -5}, [1], {"listening": False}]
)
async def test_a_wrong_profile_changes_nothing(http: aiohttp.ClientSession, bad: Any) -> None:
    status, said = await put(http, "openai", bad)
    assert status == 400
    assert said["error"]
    assert await statuses(http, 1) == [200]


async def test_stats(http: aiohttp.ClientSession) -> None:
    await put(http, "openai", {"faults": [{"fault": "http_503", "every": 4}]})
    assert Counter(await statuses(http, 8)) == {200: 6, 503: 2}
    async with http.get("/_sim/stats") as reply:
        stats = (await reply.json())["openai"]
    assert (stats["arrived"], stats["input_tokens"], stats["output_tokens"]) == (8, 30, 12)
    assert stats["by_status"] == {"200": 6, "503": 2}
    assert stats["by_fault"] == {"http_503": 2}


async def test_from_to_is_a_time_window(http: aiohttp.ClientSession) -> None:
    await put(http, "openai", {"faults": [{"fault": "http_503", "from_s": 0.5, "to_s": 1.5}]})
    assert await statuses(http, 1) == [200]
    await asyncio.sleep(0.8)
    assert await statuses(http, 1) == [503]
    await asyncio.sleep(0.8)
    assert await statuses(http, 1) == [200]


async def test_a_provider_with_a_port_of_its_own_can_be_refused_and_comes_back(
    simulator: Running, http: aiohttp.ClientSession
) -> None:
    url = f"{simulator.url_of('deepseek')}/chat/completions"
    async with http.post(url, json=BODY) as reply:
        assert reply.status == 200
    await put(http, "deepseek", {"listening": False})
    await asyncio.sleep(0.05)  # for the client to see that the connection which it kept alive is gone
    with pytest.raises(aiohttp.ClientConnectorError):
        await http.post(url, json=BODY)
    assert await statuses(http, 1) == [200]
    await put(http, "deepseek", {})
    async with http.post(url, json=BODY) as reply:
        assert reply.status == 200


async def test_a_refusal_can_be_a_time_window(simulator: Running, http: aiohttp.ClientSession) -> None:
    url = f"{simulator.url_of('deepseek')}/chat/completions"
    await put(http, "deepseek", {"faults": [{"fault": "refused", "from_s": 0.5, "to_s": 1.5}]})
    async with http.post(url, json=BODY) as reply:
        assert reply.status == 200
    await asyncio.sleep(0.8)
    with pytest.raises(aiohttp.ClientConnectorError):
        await http.post(url, json=BODY)
    await asyncio.sleep(0.9)
    async with http.post(url, json=BODY) as reply:
        assert reply.status == 200


async def test_a_shared_port_cannot_be_refused() -> None:
    profiles = Profiles(providers={"openai": Profile(listening=False)})
    with pytest.raises(SettingsError, match="--provider-port openai=0"):
        await serve(SimulatorSettings(profiles=profiles))
    with pytest.raises(SettingsError, match="default"):
        await serve(SimulatorSettings(profiles=Profiles(default=Profile(faults=(FaultRule(parse("refused"), to_s=1),)))))


async def test_a_busy_port_is_refused_with_what_to_do(simulator: Running) -> None:
    with pytest.raises(SettingsError, match="choose another port"):
        await serve(SimulatorSettings(port=simulator.port))


async def test_two_simulators_do_not_share_a_call_log(simulator: Running, call_log: Path) -> None:
    with pytest.raises(SettingsError, match="another simulator"):
        await serve(SimulatorSettings(call_log=call_log))


async def test_the_same_seed_strikes_the_same_calls() -> None:
    profiles = Profiles(default=Profile(faults=(FaultRule(parse("http_500"), rate=0.3),)), seed=42)
    runs = []
    for _ in range(2):
        async with (
            await serve(SimulatorSettings(profiles=profiles)) as running,
            aiohttp.ClientSession(base_url=running.url) as http,
        ):
            runs.append(await statuses(http, 40))
    assert runs[0] == runs[1]
    assert 4 <= runs[0].count(500) <= 20
