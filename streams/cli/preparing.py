"""Creates topics and registers schemas: what `penstock init` does."""

from collections.abc import Mapping
from pathlib import Path

from streams.bootstrap import create_topics, prepare_serde
from streams.catalogue import load_catalogue
from streams.cli import screen
from streams.cli.reading import broker_errors
from streams.money import plural
from streams.target import find_target, with_options


async def run(bootstrap_servers: str | None, data_dir: Path | None, options: Mapping[str, int | None], *, as_json: bool) -> None:
    """Prepare, and say what was done."""
    target = with_options(find_target(bootstrap_servers, data_dir), options)
    settings = target.settings
    providers = target.stack.providers if target.stack else tuple(load_catalogue(settings).providers)
    with broker_errors(settings):
        created = await create_topics(settings, providers)
        serde = await prepare_serde(settings, providers)
    registry = settings.schema_registry_url
    if as_json:
        schema_ids = {record: serde.catalogue.write_id(record) for record in _records()}
        screen.put_json({"created": created, "registry": registry, "schema_ids": schema_ids})
        return
    where = f"registered at {registry}" if registry else "those of the built-in catalogue"
    screen.put(f"{plural(len(created), 'topic')} created at {target.bootstrap_servers}; the schema ids are {where}")


def _records() -> list[str]:
    from schemas.serde import RECORDS  # noqa: PLC0415

    return [record.__name__ for record in RECORDS]
