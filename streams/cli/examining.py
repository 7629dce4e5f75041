"""Runs all checks and prints them: what `penstock doctor` does."""

import os
import shutil
from collections.abc import AsyncIterator, Awaitable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import cast

from schemas.errors import SettingsError
from streams.catalogue import load_catalogue, not_callable
from streams.cli import examining_kafka, screen
from streams.cli.checks import Check, Level
from streams.cli.exits import ExitCode
from streams.money import plural
from streams.prices import load_prices
from streams.settings import Settings
from streams.target import Target, find_target, read_settings

_LOW_DISK_BYTES = 1 << 30
_MARK = {Level.OK: "ok  ", Level.WARN: "WARN", Level.FAIL: "FAIL"}


async def run(bootstrap_servers: str | None, data_dir: Path | None, environment: Mapping[str, str], *, as_json: bool) -> ExitCode:
    """Print every check as it is done; NO when one failed."""
    failed = warned = 0
    async for check in examine(bootstrap_servers, data_dir, environment):
        failed += check.level is Level.FAIL
        warned += check.level is Level.WARN
        if as_json:
            screen.put_json(asdict(check))
        else:
            screen.put(f"{_MARK[check.level]}  {check.name:<30} {check.message}")
            if check.next_step:
                screen.put(f"{'':<36} -> {check.next_step}")
    if not as_json:
        screen.put("everything is fine" if not failed + warned else f"{failed} failed, {plural(warned, 'warning')}")
    return ExitCode.NO if failed else ExitCode.OK


async def examine(bootstrap_servers: str | None, data_dir: Path | None, environment: Mapping[str, str]) -> AsyncIterator[Check]:
    """Every check, in an order in which an earlier failure explains the later ones."""
    try:
        settings = read_settings(bootstrap_servers=bootstrap_servers, data_dir=data_dir)
    except SettingsError as error:
        yield Check.fail("settings", str(error), "correct the variable, or the .env file it stands in")
        return
    yield Check.ok("settings", "readable")
    target = None
    try:
        target = find_target(bootstrap_servers, data_dir)
        settings = target.settings
    except SettingsError as error:
        yield Check.fail("kafka", str(error), "start a stack, or name a broker")
    yield _data_dir(settings, target)
    for check in _providers(settings, target, environment):
        yield check
    if target is not None:
        async for check in examining_kafka.examine(target):
            yield check
    yield await _cache(settings)
    yield await _registry(settings, target)


def _data_dir(settings: Settings, target: Target | None) -> Check:
    path = settings.data_dir
    if target is not None and target.stack is not None:
        said = f"{path}: a stack runs on it (process {target.stack.pid})"
    elif target is not None:
        return Check.ok("data dir", "not needed: Kafka is your own")
    else:
        said = f"{path}: no stack runs on it"
    existing = next(p for p in (path.absolute(), *path.absolute().parents) if p.exists())
    if not os.access(existing, os.W_OK):
        return Check.fail("data dir", f"{existing} cannot be written", "choose another one with --data-dir (PENSTOCK_DATA_DIR)")
    if (free := shutil.disk_usage(existing).free) < _LOW_DISK_BYTES:
        return Check.warn("data dir", f"{said}; {free >> 20} MiB are free", "free some disk: Kafka stops when it is full")
    return Check.ok("data dir", said)


def _providers(settings: Settings, target: Target | None, environment: Mapping[str, str]) -> Iterator[Check]:
    """Which providers can be called from here. Keys are looked for, and never shown."""
    try:
        catalogue = load_catalogue(settings)
        load_prices(settings, catalogue)
    except SettingsError as error:
        yield Check.fail("deployments", str(error), "correct the file")
        return
    chosen = target.stack.providers if target is not None and target.stack is not None else tuple(catalogue.providers)
    missing = {name: why for name, why in not_callable(catalogue, settings, environment).items() if name in chosen}
    deployments = [d for d in catalogue.deployments if d.provider in chosen]
    ready = [d for d in deployments if d.provider not in missing]
    if settings.simulator_url is not None:
        yield Check.ok("provider keys", f"not needed: every provider is simulated at {settings.simulator_url}")
    for name, provider in ((name, catalogue.providers[name]) for name in chosen if name in catalogue.providers):
        if settings.simulator_url is None and provider.key_env is not None:
            if name in missing:
                yield Check.warn(f"key {name}", f"{missing[name]} is not set", f"set {missing[name]} to route to {name}")
            else:
                yield Check.ok(f"key {name}", f"{provider.key_env} is set")
    if not ready:
        yield Check.fail(
            "deployments", "none can be called", f"set one of {', '.join(sorted(missing.values()))}, or run the simulator"
        )
    else:
        yield Check.ok("deployments", f"{len(ready)} of {len(deployments)} can be called (catalogue {catalogue.version})")


async def _cache(settings: Settings) -> Check:
    if settings.redis_url is None:
        return Check.warn("cache", "no Valkey is named: answers are cached in each process alone", "set REDIS_URL")
    from redis.asyncio import Redis  # noqa: PLC0415
    from redis.exceptions import RedisError  # noqa: PLC0415

    client = Redis.from_url(settings.redis_url, socket_connect_timeout=2, socket_timeout=2)
    try:
        await cast("Awaitable[bool]", client.ping())
    except (RedisError, OSError) as error:
        return Check.warn(
            "cache", f"Valkey does not answer ({type(error).__name__}): every look-up is a miss", "start it, or correct REDIS_URL"
        )
    finally:
        await client.aclose()
    return Check.ok("cache", "Valkey answers")


async def _registry(settings: Settings, target: Target | None) -> Check:
    """The registry that ids come from; else the catalogue that other programs decode with."""
    import aiohttp  # noqa: PLC0415

    own = settings.schema_registry_url
    url = own or (target.stack.schema_registry_url if target and target.stack else None)
    if url is None:
        return Check.ok("schemas", "built-in ids; other programs decode with `penstock catalogue`")
    auth = None
    if own and settings.schema_registry_user is not None and settings.schema_registry_password is not None:
        auth = aiohttp.BasicAuth(settings.schema_registry_user, settings.schema_registry_password.get_secret_value())
    try:
        timeout = aiohttp.ClientTimeout(total=5)
        async with (
            aiohttp.ClientSession(timeout=timeout, auth=auth) as session,
            session.get(f"{url.rstrip('/')}/subjects") as reply,
        ):
            status, subjects = reply.status, await reply.json(content_type=None) if reply.status == 200 else []
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        return Check.fail(
            "schemas", f"{url} does not answer ({type(error).__name__})", "start it, or correct SCHEMA_REGISTRY_URL"
        )
    if status != 200:
        return Check.fail(
            "schemas", f"{url}/subjects answers {status}", "SCHEMA_REGISTRY_URL must be the Confluent-compatible root"
        )
    if "ai.requests-value" not in subjects:
        return Check.fail("schemas", f"{url} does not have our subjects", "register them with `penstock init`")
    return Check.ok("schemas", f"{url} has our subjects")
