"""What `penstock keys` does."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.table import Table

from schemas.errors import RecordError, SettingsError
from schemas.keys import KeyIssued, KeyRole
from schemas.serde import Serde
from streams import clock, topics
from streams.beginning import Beginning
from streams.cli import screen
from streams.cli.exits import ExitCode
from streams.cli.reading import broker_errors, open_reader
from streams.cli.wire import open_publisher, open_serde
from streams.edge.tokens import mac_of, new_key
from streams.publisher import Outgoing
from streams.settings import Settings
from streams.stores.secret import key_secret
from streams.target import find_target


async def run_create(
    bootstrap_servers: str | None, data_dir: Path | None, *, tenant: str, roles: tuple[KeyRole, ...], note: str, as_json: bool
) -> None:
    """Publish a new key's record, and show the key. Raises SettingsError."""
    if not tenant.strip() or KeyRole.UNKNOWN in roles:
        raise SettingsError("a key needs a tenant that is not empty, and the roles publish, read or admin")
    settings = find_target(bootstrap_servers, data_dir).settings
    key_id, key = new_key()
    issued = KeyIssued(key_id, tenant, roles, mac_of(key, key_secret(settings)), note, clock.now())
    with broker_errors(settings):
        await _put(settings, await open_serde(settings, [topics.KEYS]), issued)
    if as_json:
        screen.put_json({"key_id": key_id, "tenant": tenant, "roles": [role.value for role in roles], "key": key})
        return
    screen.put(key)
    screen.say(f"-- the key {key_id} of {tenant} ({', '.join(roles)}); it is shown this once: keep it")


async def run_list(bootstrap_servers: str | None, data_dir: Path | None, *, tenant: str | None, as_json: bool) -> None:
    """Show every key. Raises SettingsError."""
    settings = find_target(bootstrap_servers, data_dir).settings
    with broker_errors(settings):
        keys = await _keys(settings, await open_serde(settings, [topics.KEYS]))
    shown = sorted((k for k in keys.values() if tenant in {None, k.tenant}), key=lambda k: (k.tenant, k.created_at))
    if as_json:
        screen.put_json([_without_mac(issued) for issued in shown])
        return
    table = Table("key", "tenant", "roles", "created", "revoked", "note")
    for k in shown:
        revoked = "" if k.revoked_at is None else f"{k.revoked_at:%Y-%m-%d %H:%M}"
        table.add_row(k.key_id, k.tenant, ", ".join(k.roles), f"{k.created_at:%Y-%m-%d %H:%M}", revoked, k.note)
    screen.console().print(table)


async def run_revoke(bootstrap_servers: str | None, data_dir: Path | None, key_id: str, *, as_json: bool) -> ExitCode:
    """Publish that the key has ended. Raises SettingsError."""
    settings = find_target(bootstrap_servers, data_dir).settings
    with broker_errors(settings):
        serde = await open_serde(settings, [topics.KEYS])
        issued = (await _keys(settings, serde)).get(key_id)
        if issued is None:
            screen.say(f"penstock: there is no key {key_id!r}; `penstock keys list` shows them")
            return ExitCode.NO
        if issued.revoked_at is None:
            issued = replace(issued, revoked_at=clock.now())
            await _put(settings, serde, issued)
    if as_json:
        screen.put_json(_without_mac(issued))
    else:
        screen.say(f"-- the key {key_id} of {issued.tenant} opens nothing any more")
    return ExitCode.OK


async def _put(settings: Settings, serde: Serde, issued: KeyIssued) -> None:
    async with open_publisher(settings) as publisher:
        await publisher.send_all([Outgoing(topics.KEYS, issued.key_id, serde.of(KeyIssued).encode(issued))])


async def _keys(settings: Settings, serde: Serde) -> dict[str, KeyIssued]:
    codec, found = serde.of(KeyIssued), {}
    async with open_reader(settings, [topics.KEYS]) as reader:
        await reader.seek(Beginning())
        async for record in reader.until(await reader.ends()):
            try:
                issued = codec.decode(record.value)
            except RecordError as error:
                screen.say(f"penstock: a key at offset {record.offset} of {topics.KEYS} cannot be read: {error}")
                continue
            found[issued.key_id] = issued
    return found


def _without_mac(issued: KeyIssued) -> dict[str, Any]:
    return {name: getattr(issued, name) for name in issued.__dataclass_fields__ if name != "mac"}
