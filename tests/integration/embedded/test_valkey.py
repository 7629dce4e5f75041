"""The embedded cache is bounded, loopback only, and keeps nothing on disk."""

import socket

import psutil
import pytest
import redis.asyncio

from schemas.errors import SettingsError
from streams.embedded.ports import free_port
from streams.embedded.valkey import EmbeddedValkey, ValkeyPlan

pytestmark = pytest.mark.stack


@pytest.fixture
async def server(spawner, tmp_path):
    server = EmbeddedValkey(ValkeyPlan(tmp_path / "valkey", port=free_port(), log=tmp_path / "log", max_memory_mb=4), spawner)
    await server.start()
    return server


@pytest.fixture
async def client(server):
    async with redis.asyncio.Redis.from_url(server.url) as client:
        yield client


async def test_it_listens_on_the_loopback_interface_alone(server):
    listening = [c for c in psutil.Process(server.process.pid).net_connections() if c.status == psutil.CONN_LISTEN]

    assert {c.laddr.ip for c in listening} == {"127.0.0.1"}


async def test_full_memory_evicts_the_least_recently_used(client):
    for number in range(300):
        await client.set(f"key-{number}", b"x" * 50_000)

    assert await client.get("key-0") is None
    assert await client.get("key-299") is not None
    assert (await client.info("memory"))["used_memory"] < 6 * 2**20


async def test_nothing_is_written_to_disk(server, client, tmp_path):
    await client.set("key", "value")
    await server.stop()

    assert list((tmp_path / "valkey").iterdir()) == []


async def test_a_stop_and_a_start_serve_again(server, client):
    await server.stop()
    await server.start()

    assert await client.ping()


async def test_a_taken_port_is_refused(tmp_path, spawner):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        server = EmbeddedValkey(ValkeyPlan(tmp_path / "valkey", port=port, log=tmp_path / "log"), spawner)

        with pytest.raises(SettingsError, match=f"port {port} is taken.*--valkey-port"):
            await server.start()
