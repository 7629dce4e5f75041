"""Finds the records of one request and tells what became of it: what `penstock explain` does."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from streams import clock, topics
from streams.beginning import At, Beginning, Start, parse_time
from streams.cli import screen
from streams.cli.cluster import open_cluster
from streams.cli.exits import ExitCode
from streams.cli.reading import Reader, broker_errors, open_reader
from streams.cli.wire import Decoder, open_serde
from streams.decoding import dumps
from streams.lineage.collected import Seen, lineages
from streams.lineage.page import page
from streams.target import Target, find_target

_TOPICS = (
    topics.REQUESTS,
    topics.ROUTED,
    topics.ATTEMPTS,
    topics.COSTS,
    topics.RESPONSES,
    topics.DEAD_LETTERS,
)


@dataclass(frozen=True, slots=True)
class Wanted:
    request_id: str
    tenant: str | None = None
    start: Start = Beginning()  # noqa: RUF009 - it has no fields

    @classmethod
    def of(cls, request_id: str, *, tenant: str | None, since: str | None) -> "Wanted":
        """Raises SettingsError for a time that is none."""
        advice = "--since takes a time such as 2026-01-31T15:00Z"
        return cls(request_id, tenant, Beginning() if since is None else At(parse_time(since, advice)))


async def run(wanted: Wanted, bootstrap_servers: str | None, data_dir: Path | None, *, as_json: bool) -> ExitCode:
    """Print the lineage, of each tenant that has such a request; NO when there is none."""
    target = find_target(bootstrap_servers, data_dir)
    with broker_errors(target.settings):
        names = [*_TOPICS, *await _calls_topics(target)]
        serde = await open_serde(target.settings, names)
        decoder = Decoder(serde, target.settings)
        async with open_reader(target.settings, names) as reader:
            seen = [found async for found in _seen(reader, decoder, wanted)]
    found = lineages(seen, wanted.request_id, tenant=wanted.tenant)
    for lineage in found:
        if as_json:
            screen.put_bytes(dumps(lineage.as_json(), serde))
        else:
            screen.put("\n".join(page(lineage)))
    if not found:
        screen.say(_nothing(wanted))
    return ExitCode.OK if found else ExitCode.NO


async def _calls_topics(target: Target) -> list[str]:
    async with open_cluster(target.settings) as cluster:
        return [name for name in await cluster.topics() if name.startswith(topics.CALLS_PREFIX)]


async def _seen(reader: Reader, decoder: Decoder, wanted: Wanted) -> AsyncIterator[Seen]:
    """Every record that names the request. Only values that hold its id are decoded."""
    needle = wanted.request_id.encode(errors="surrogatepass")
    ends = await reader.ends()
    await reader.seek(wanted.start)
    async for record in reader.until(ends):
        if record.value is not None and needle in record.value:
            found = await decoder.decode(record.value)
            yield Seen(record.topic, record.partition, record.offset, clock.from_kafka_ms(record.timestamp), found, record.key)


def _nothing(wanted: Wanted) -> str:
    whose = "" if wanted.tenant is None else f" of {wanted.tenant}"
    return (
        f"penstock: the log knows no request {wanted.request_id!r}{whose}: check the id and the tenant; "
        "topics keep records for a week, and --since leaves out what is older"
    )
