"""HTTP gateways from their own packages, each in an environment of its own under `.penstock/bench/`."""

import asyncio
import json
import os
import secrets
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import aiohttp
import psutil
from http_load import Ask
from machine import ROOT

HOME = ROOT / ".penstock" / "bench"
INSTALL_S = 600
START_S = 120
MODEL = "bench"


class Skipped(Exception):
    """The gateway cannot be measured here; says why."""


@dataclass(frozen=True, slots=True)
class Gateway:
    """A gateway that is installed: how to start it, and how a client asks it."""

    name: str
    version: str
    argv: Sequence[str]
    port: int
    path: str = "/v1/chat/completions"
    headers: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)


async def asked(ask: Ask, name: str) -> dict[str, float]:
    """The figures of a load that a process of its own puts on `name`. Raises RuntimeError when it fails."""
    client = await asyncio.create_subprocess_exec(
        sys.executable,
        str(ROOT / "bench" / "http_load.py"),
        json.dumps(asdict(ask)),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    out, _ = await client.communicate()
    if client.returncode:
        raise RuntimeError(f"the load on {name} failed; see its message above")
    found: dict[str, float] = json.loads(out)
    return found


async def litellm(simulator_url: str, port: int) -> Gateway:
    """LiteLLM's proxy from PyPI, one worker, no database, no logging of its own. Raises Skipped."""
    venv = HOME / "litellm"
    python = venv / "bin" / "python"
    if not python.exists():
        await _run("litellm", sys.executable, "-m", "venv", str(venv))
    if not (venv / "bin" / "litellm").exists():
        await _run("litellm", str(python), "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "litellm[proxy]")
    config = venv / "config.yaml"
    parameters = {"model": f"openai/{MODEL}", "api_base": f"{simulator_url}/openai/v1", "api_key": "simulated"}
    # JSON is YAML.
    config.write_text(json.dumps({"model_list": [{"model_name": MODEL, "litellm_params": parameters}]}), encoding="utf-8")
    version = await _run("litellm", str(python), "-c", "import importlib.metadata as m; print(m.version('litellm'))")
    key = f"sk-{secrets.token_hex(32)}"  # without one it refuses to start
    program = str(venv / "bin" / "litellm")
    return Gateway(
        "litellm",
        version.strip(),
        (program, "--config", str(config), "--host", "127.0.0.1", "--port", str(port), "--num_workers", "1"),
        port,
        headers={"Authorization": f"Bearer {key}"},
        environment={
            "LITELLM_MASTER_KEY": key,
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
            "LITELLM_LOG": "ERROR",
            "LITELLM_TELEMETRY": "False",
        },
    )


async def portkey(simulator_url: str, port: int) -> Gateway:
    """Portkey's gateway from npm. Raises Skipped."""
    home = HOME / "portkey"
    package = home / "node_modules" / "@portkey-ai" / "gateway"
    if shutil.which("npm") is None or (node := shutil.which("node")) is None:
        raise Skipped("portkey: npm and node are not installed")
    if not package.exists():
        home.mkdir(parents=True, exist_ok=True)
        await _run("portkey", "npm", "install", "--no-audit", "--no-fund", "--prefix", str(home), "@portkey-ai/gateway")
    about = json.loads((package / "package.json").read_text(encoding="utf-8"))
    script = about["bin"] if isinstance(about["bin"], str) else next(iter(about["bin"].values()))
    return Gateway(
        "portkey",
        about["version"],
        (node, str(package / script), f"--port={port}", "--headless"),
        port,
        headers={
            "Authorization": "Bearer simulated",
            "x-portkey-provider": "openai",
            "x-portkey-custom-host": f"{simulator_url}/openai/v1",
        },
        environment={"NODE_ENV": "production", "TRUSTED_CUSTOM_HOSTS": "localhost,127.0.0.1"},
    )


@asynccontextmanager
async def running(gateway: Gateway, body: Mapping[str, object]) -> AsyncIterator[psutil.Process]:
    """The gateway's process, once it answers a request. Raises Skipped when it does not."""
    log = (HOME / f"{gateway.name}.log").open("wb")
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")}
    process = await asyncio.create_subprocess_exec(
        *gateway.argv, stdout=log, stderr=log, env={**environment, **gateway.environment}, start_new_session=True
    )
    try:
        await _until_answering(gateway, body, process)
        yield psutil.Process(process.pid)
    finally:
        log.close()
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                await asyncio.wait_for(process.wait(), timeout=10)
            except TimeoutError:
                os.killpg(process.pid, signal.SIGKILL)
                await process.wait()


async def _until_answering(gateway: Gateway, body: Mapping[str, object], process: asyncio.subprocess.Process) -> None:
    said = "nothing answered"
    loop = asyncio.get_running_loop()
    deadline_s = loop.time() + START_S
    async with aiohttp.ClientSession(headers=gateway.headers, timeout=aiohttp.ClientTimeout(total=10)) as session:
        while loop.time() < deadline_s and process.returncode is None:
            try:
                async with session.post(f"http://127.0.0.1:{gateway.port}{gateway.path}", json=body) as reply:
                    if reply.status == 200:
                        return
                    said = f"HTTP {reply.status}: {(await reply.text())[:300]}"
            except (aiohttp.ClientError, TimeoutError) as error:
                said = repr(error)
            await asyncio.sleep(0.5)
    raise Skipped(f"{gateway.name} {gateway.version} did not come up: {said}; see {HOME / gateway.name}.log")


async def _run(name: str, *argv: str) -> str:
    """The standard output of a command that prepares a gateway. Raises Skipped when it fails or takes too long."""
    try:
        process = await asyncio.create_subprocess_exec(*argv, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE)
    except OSError as error:
        raise Skipped(f"{name}: {Path(argv[0]).name} cannot be run ({error.strerror})") from error
    try:
        out, err = await asyncio.wait_for(process.communicate(), timeout=INSTALL_S)
    except TimeoutError:
        process.kill()
        await process.wait()
        raise Skipped(f"{name}: `{' '.join(argv[:4])} …` took over {INSTALL_S} s") from None
    if process.returncode:
        raise Skipped(f"{name}: `{' '.join(argv[:4])} …` failed: {err.decode(errors='replace').strip()[-400:]}")
    return out.decode()
