"""Files and batches over a log in memory: the paths, and what carries a batch out, with crashes where a test wants them."""

import asyncio
import contextlib
import json
import random
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

import httpx2
import openai

from processors.api.batch_lines import number_of
from processors.dispatch.answers import CANCELLED
from schemas.batches import BatchChanged, BatchState
from schemas.cancellation import CancelRequested
from schemas.deployments import DeploymentCatalogue
from schemas.outcomes import InferenceResponse, ResponseStatus
from schemas.requests import InferenceRequest
from streams import topics
from streams.edge.app import edge_app
from streams.edge.batch_index import BatchIndex
from streams.edge.batch_parts import BatchParts
from streams.edge.batch_run import BatchRun, Means
from streams.edge.files_log import FileLog
from streams.publisher import Outgoing
from streams.runtime import Runtime
from streams.settings import Settings
from tests.unit.edge.native_log import PARTITIONS, Line, MemoryLog, Tenants, final

Answer = Callable[[InferenceRequest], InferenceResponse | None]


class Crash(Exception):
    """A process dies here."""


@dataclass(slots=True)
class Plan:
    """After how many steps the process dies; a step is a request that is published or a transaction. None: never."""

    steps: int | None = None
    after: bool = False
    """Whether what the last step wrote stands in the log."""

    def step(self) -> bool:
        """Whether to die at this step."""
        if self.steps is None:
            return False
        self.steps -= 1
        return self.steps < 0


class Pipeline:
    """Answers each request once, in any order, a little later. One without an answer waits until it is cancelled."""

    def __init__(self, log: MemoryLog, answer: Answer, seed: int = 0) -> None:
        self.log, self.answer, self.random = log, answer, random.Random(seed)
        self.seen: list[str] = []
        self.pending: list[InferenceRequest] = []
        self._cancelled: set[str] = set()
        self._codec = log.serde.of(CancelRequested)
        log.followers.append(self._hear)

    def _hear(self, line: Line) -> None:
        if line.topic == topics.CANCELLATIONS:
            self._cancelled.add(self._codec.decode(line.value).request_id)

    def take(self, request: InferenceRequest) -> Iterable[Any]:
        if request.request_id not in self.seen:
            self.seen.append(request.request_id)
            self.pending.append(request)
        return ()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self._run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(0)
            if self.pending and self.random.random() < 0.5:
                request = self.pending.pop(self.random.randrange(len(self.pending)))
                if request.request_id in self._cancelled:
                    self.log.tell(final(request, status=ResponseStatus.ERROR, error=CANCELLED, output=None, usage=None))
                elif (response := self.answer(request)) is not None:
                    self.log.tell(response)
                else:
                    self.pending.append(request)


class MemoryAnswers:
    """What `BatchAnswers` does, over the log in memory; positions are one number, whatever the partitions."""

    def __init__(self, log: MemoryLog) -> None:
        self._log = log
        self._codec = log.serde.of(InferenceResponse)

    @property
    def positions(self) -> tuple[int, ...]:
        return (len(self._log.lines),)

    @contextlib.asynccontextmanager
    async def following(self, batch_id: str, tenant: str, positions: tuple[int, ...], take: Any) -> AsyncIterator[None]:
        def follow(line: Line) -> None:
            if line.topic != topics.RESPONSES:
                return
            response, named = self._codec.decode(line.value), number_of(line.key.decode())
            if named is not None and named[0] == batch_id and response.tenant == tenant and response.final:
                take(named[1], response)

        for line in self._log.lines[positions[0] :] if positions else ():
            follow(line)
        self._log.followers.append(follow)
        try:
            yield
        finally:
            self._log.followers.remove(follow)


@dataclass(slots=True)
class MemoryLedger:
    log: MemoryLog
    plan: Plan = field(default_factory=Plan)
    transactions: list[list[str]] = field(default_factory=list)
    """The topics of each one's records."""

    async def commit(self, records: list[Outgoing]) -> None:
        dies = self.plan.step()
        await asyncio.sleep(0)
        if not dies or self.plan.after:
            self.transactions.append([record.topic for record in records])
            for record in records:
                self.log.put(record.topic, record.key, record.value)
        if dies:
            raise Crash


class Publishing:
    """The publisher of one process."""

    def __init__(self, log: MemoryLog, plan: Plan) -> None:
        self.log, self.plan = log, plan

    async def partitions(self, topic: str) -> int:
        return PARTITIONS

    async def send_all(self, records: Iterable[Outgoing]) -> None:
        dies = any(record.topic == topics.REQUESTS for record in records) and self.plan.step()
        if not dies or self.plan.after:
            await self.log.send_all(records)
        if dies:
            raise Crash


class Edge:
    """One process."""

    def __init__(self, log: MemoryLog, plan: Plan | None = None, **settings: Any) -> None:
        self.log, self.plan = log, plan or Plan()
        chosen = Settings(_env_file=None, **settings)  # type: ignore[call-arg]
        catalogue = DeploymentCatalogue("test", {}, (), {})
        self.runtime = Runtime(chosen, "edge", log.serde, catalogue, Publishing(log, self.plan), PARTITIONS)  # type: ignore[arg-type]
        self.index = BatchIndex(self.runtime)
        self.index._follower.caught_up.set()
        self.files = FileLog(self.runtime, log)  # type: ignore[arg-type]
        self.ledger = MemoryLedger(log, self.plan)
        for line in log.lines:
            self._follow(line)
        log.followers.append(self._follow)

    def _follow(self, line: Line) -> None:
        if line.topic == topics.BATCHES:
            self.index._apply(replace(line, value=line.value or None))  # type: ignore[arg-type]
            self.index._tell()

    def http(self, tenant: str = "acme") -> httpx2.AsyncClient:
        door: Any = SimpleNamespace(runtime=self.runtime, authority=Tenants())
        door.admit = lambda http, *roles: admitted(door, http, roles)
        app = edge_app(door, BatchParts(self.index, self.files).routes(door))
        transport = httpx2.ASGITransport(app)
        headers = {"authorization": f"Bearer {tenant}"}
        return httpx2.AsyncClient(transport=transport, base_url="http://edge", headers=headers)

    def openai(self, tenant: str = "acme") -> openai.AsyncOpenAI:
        options: dict[str, Any] = {"max_retries": 0, "_strict_response_validation": True}
        return openai.AsyncOpenAI(base_url="http://edge/v1", api_key=tenant, http_client=self.http(tenant), **options)

    def run_of(self, batch_id: str) -> BatchRun:
        """The batch as the log has it, for this process to carry out."""
        means = Means(self.runtime, self.files, MemoryAnswers(self.log))
        return BatchRun(state_in(self.log, batch_id), means, self.ledger)


def admitted(door: Any, http: Any, roles: Any) -> Any:
    from streams.edge.principal import admitted as admit  # noqa: PLC0415

    return admit(door.authority, http.headers, *roles)


def state_in(log: MemoryLog, batch_id: str) -> BatchState:
    codec = log.serde.of(BatchChanged)
    found = [codec.decode(line.value).batch for line in log.of(topics.BATCHES) if line.value]
    return [state for state in found if state is not None and state.batch_id == batch_id][-1]


def expired(log: MemoryLog, batch_id: str, by: timedelta = timedelta(minutes=1)) -> None:
    """Put the batch into the log again as one whose window is over."""
    state = state_in(log, batch_id)
    over = replace(state, expires_at=datetime.now(state.expires_at.tzinfo) - by)
    log.put(topics.BATCHES, f"{state.tenant}/{batch_id}", log.serde.encode(BatchChanged(over)))


def lines_of(count: int, endpoint: str = "/v1/chat/completions", **body: Any) -> bytes:
    """An input file of so many good lines."""
    asked: dict[str, Any] = {"model": "auto", **(body or {"messages": [{"role": "user", "content": "Name a river."}]})}
    lines = [{"custom_id": f"line {n}", "method": "POST", "url": endpoint, "body": asked} for n in range(1, count + 1)]
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


async def uploaded(edge: Edge, content: bytes, endpoint: str = "/v1/chat/completions", tenant: str = "acme") -> str:
    """The id of a batch over a file with this content."""
    client = edge.openai(tenant)
    file = await client.files.create(file=("in.jsonl", content), purpose="batch")
    made = await client.batches.create(input_file_id=file.id, endpoint=endpoint, completion_window="24h")  # type: ignore[arg-type]
    return made.id


async def read(edge: Edge, file_id: str | None, tenant: str = "acme") -> list[Any]:
    """The lines of a file; none for no file."""
    if file_id is None:
        return []
    content = await edge.openai(tenant).files.content(file_id)
    return [json.loads(line) for line in content.text.splitlines()]


def river(request: InferenceRequest) -> InferenceResponse:
    return final(request)


async def until(check: Callable[[], bool]) -> None:
    """Wait until it holds."""
    async with asyncio.timeout(30):
        while not check():  # noqa: ASYNC110 - a log in memory tells nobody
            await asyncio.sleep(0.001)
