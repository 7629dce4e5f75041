"""What there is to publish: the requests of the source, each with the time it is due."""

import secrets
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

from processors.api.bad_request import BadRequest
from schemas.errors import SettingsError
from schemas.requests import InferenceRequest
from streams.cli.formats import Defaults, Format, Parser, digest
from streams.cli.inputs import STDIN, lines_of, open_file
from streams.cli.trace import Row, read_trace, request_of


@dataclass(frozen=True, slots=True)
class Job:
    """What was asked of `publish`. Either `source` or `trace` is set."""

    source: str | None = None
    trace: Path | None = None
    speed: float = 1.0
    rate: float | None = None
    limit: int | None = None
    form: str = "auto"
    tenant: str = "default"
    model: str = "auto"
    wait: bool = False
    output: Path | None = None
    timeout_s: float = 660.0
    strict: bool = False
    dry_run: bool = False
    acknowledged_log: Path | None = None
    run_id: str = ""
    """Put into the digest of the file, so that a run of its own id is a set of requests of its own."""

    def check(self) -> None:
        """Raises SettingsError when the options do not fit together."""
        if (self.source is None) == (self.trace is None):
            raise SettingsError("name a FILE, or - for standard input, or a --trace; one of them")
        if self.trace is not None and self.rate is not None:
            raise SettingsError("a trace has its own times: use --speed instead of --rate")
        if self.output is not None and not self.wait:
            raise SettingsError("--output writes the answers, which only --wait reads: add --wait")
        if self.form not in set(Format):
            raise SettingsError(f"--format is auto, json or text, not {self.form!r}")


@dataclass(frozen=True, slots=True)
class Item:
    """One request to publish, or a bad line. `due_s` counts from the first; None: at once."""

    number: int
    request: InferenceRequest | BadRequest
    due_s: float | None = None


def count_of(job: Job) -> int | None:
    """How many lines there are at most; None for a pipe."""
    if job.source == STDIN:
        return job.limit
    with open_file(job.trace or str(job.source)).open("rb") as file:
        lines = sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))
    count = lines - 1 if job.trace else lines
    return max(1, count if job.limit is None else min(count, job.limit))


async def items_of(job: Job) -> AsyncIterator[Item]:
    """Everything to publish, in order. Raises SettingsError when the source cannot be read."""
    if job.trace is not None:
        for item in _items_of_trace(job, job.trace):
            yield item
        return
    source = str(job.source)
    parser = Parser(Format(job.form), Defaults(_digest(source, job), job.tenant, job.model))
    sent = 0
    async for line in lines_of(source):
        if job.limit is not None and sent >= job.limit:
            return
        if (parsed := parser.line(line)) is None:
            continue
        yield Item(parsed.number, parsed.request, sent / job.rate if job.rate is not None else None)
        sent += 1


def _items_of_trace(job: Job, trace: Path) -> Iterator[Item]:
    source = _digest(str(trace), job)
    with open_file(trace).open(encoding="utf-8-sig", errors="replace", newline="") as file:
        for row in read_trace(file, limit=job.limit):
            if isinstance(row, Row):
                request = request_of(row, source=source, tenant=job.tenant, model=job.model)
                yield Item(row.number, request, row.at_s / job.speed)
            else:
                yield Item(*row)


def _digest(source: str, job: Job) -> str:
    if source == STDIN:
        return secrets.token_hex(8)
    with open_file(source).open("rb") as file:
        return digest(file, (job.tenant, job.model, job.form, job.run_id))
