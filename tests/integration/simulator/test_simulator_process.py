"""The simulator as a process: its ready line, SIGTERM, and what its call log knows after kill -9."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp
import pytest

from streams.simulator.call_log import read

BODY = {"model": "m", "messages": [{"role": "user", "content": "[[sim in=50 out=5]]"}]}


@contextmanager
def started(*options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The process, and the address of its ready line."""
    command = [sys.executable, "-m", "streams.simulator", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line.startswith("simulator ready http://127.0.0.1:"), line
            yield process, line.split()[-1]
        finally:
            process.kill()


async def flood(url: str, replies: list[str], *, clients: int = 16) -> None:
    """Calls without end; the ids of those that were answered go into `replies`. Returns when the simulator dies."""

    async def client(number: int, http: aiohttp.ClientSession) -> None:
        for n in range(1_000_000):
            call_id = f"{number}-{n}"
            try:
                async with http.post("/openai/v1/chat/completions", json=BODY, headers={"x-penstock-call-id": call_id}) as reply:
                    assert reply.status == 200
                    replies.append(call_id)  # the head of the reply is here
                    await reply.read()
            except aiohttp.ClientError:
                return

    async with aiohttp.ClientSession(base_url=url) as http:
        await asyncio.gather(*(client(number, http) for number in range(clients)))


async def answered(replies: list[str], calls: int) -> None:
    """Returns when so many calls were answered."""
    async with asyncio.timeout(30):
        while len(replies) < calls:  # noqa: ASYNC110 - the replies come on other connections, of no fixed number
            await asyncio.sleep(0.002)


@pytest.mark.parametrize("latency_ms", ["0", "5"])
async def test_after_kill_9_the_log_has_every_call_that_was_answered(tmp_path: Path, latency_ms: str) -> None:
    log, replies = tmp_path / "calls.jsonl", list[str]()
    with started("--call-log", str(log), "--first-token-ms", latency_ms) as (process, url):
        flooding = asyncio.create_task(flood(url, replies))
        await answered(replies, 300)
        os.kill(process.pid, signal.SIGKILL)
        await flooding
    calls = list(read(log))
    assert set(replies) <= {call.call_id for call in calls}
    assert len(calls) == len({call.call_id for call in calls})
    assert {(call.input_tokens, call.output_tokens) for call in calls} == {(50, 5)}
    assert len(calls) - len(replies) <= 16


async def test_a_log_goes_on_after_a_kill_and_a_torn_line(tmp_path: Path) -> None:
    log, replies = tmp_path / "calls.jsonl", list[str]()
    with started("--call-log", str(log)) as (process, url):
        flooding = asyncio.create_task(flood(url, replies, clients=2))
        await answered(replies, 20)
        os.kill(process.pid, signal.SIGKILL)
        await flooding
    before = list(read(log))
    with log.open("ab") as torn:
        torn.write(b'{"event":"arrived","run":"x","se')
    with (
        started("--call-log", str(log)) as (process, url),
    ):
        async with aiohttp.ClientSession(base_url=url) as http, http.post("/v1/chat/completions", json=BODY) as reply:
            assert reply.status == 200
        process.terminate()
        assert process.wait(10) == 0
    after = list(read(log))
    assert len(after) == len(before) + 1
    assert len({call.run for call in after}) == 2


async def test_sigterm_ends_it_with_0_and_every_call_finished(tmp_path: Path) -> None:
    log = tmp_path / "calls.jsonl"
    with started("--call-log", str(log), "--fault", "openai=hang@every=2") as (process, url):
        replies: list[str] = []
        flooding = asyncio.create_task(flood(url, replies, clients=4))
        async with asyncio.timeout(30):
            while sum(call.fault == "hang" for call in read(log)) < 4:  # noqa: ASYNC110 - the log is a file of another process
                await asyncio.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        await flooding
        assert process.wait(10) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""
    calls = list(read(log))
    assert all(call.finished for call in calls)
    assert sum(call.fault == "hang" for call in calls) == 4
    assert sum(call.completed for call in calls) == len(replies) == len(calls) - 4


def test_wrong_options_end_with_2_and_say_why(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "streams.simulator"]
    for options, said in (
        (["--profile", str(tmp_path / "none.yaml")], "cannot be read"),
        (["--fault", "openai=nope"], "there is no fault"),
        (["--provider-port", "openai"], "PROVIDER=PORT"),
        (["--call-log", "/proc/nowhere/calls"], "cannot be opened"),
        (["--fault", "openai=refused@to_s=3"], "--provider-port openai=0"),
    ):
        ended = subprocess.run([*command, *options], capture_output=True, text=True, timeout=20, check=False)
        assert ended.returncode == 2
        assert said in ended.stderr
        assert "Traceback" not in ended.stderr


async def test_a_full_disk_stops_it_and_no_call_is_answered() -> None:
    with started("--call-log", "/dev/full") as (process, url):
        async with aiohttp.ClientSession(base_url=url) as http:
            with pytest.raises(aiohttp.ClientError):
                await http.post("/v1/chat/completions", json=BODY)
        assert process.wait(10) == 1
