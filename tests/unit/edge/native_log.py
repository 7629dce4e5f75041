"""A log in memory, as the native interface sees it: what is published stands in it, and whoever follows it is told."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from starlette.testclient import TestClient

from schemas.calls import Output, Usage
from schemas.deployments import DeploymentCatalogue
from schemas.keys import KeyRole
from schemas.outcomes import InferenceResponse, ResponseChunk, ResponseStatus
from schemas.requests import InferenceRequest
from schemas.serde import Serde
from streams import topics
from streams.edge.app import edge_app
from streams.edge.cancelling import Cancelling
from streams.edge.door import Door
from streams.edge.idempotency import Claims
from streams.edge.idempotency_asking import AskingOnce
from streams.edge.lineage import Lineages
from streams.edge.lineage_log import Found, Stretch
from streams.edge.mailbox import Mailbox
from streams.edge.native_parts import NativeParts
from streams.edge.openai import OpenAi
from streams.edge.principal import Principal
from streams.placement import partition_of
from streams.publisher import Outgoing
from streams.runtime import Runtime
from streams.settings import Settings

PARTITIONS = 2
Answers = Callable[[InferenceRequest], Iterable[Any]]


@dataclass(frozen=True, slots=True)
class Line:
    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes
    value: bytes


class Tenants:
    """An authority whose keys are the tenants' names."""

    def principal(self, credential: str) -> Principal | None:
        return Principal(credential, frozenset({KeyRole.PUBLISH, KeyRole.READ}), credential) if credential else None


@dataclass(slots=True)
class MemoryLog:
    """A publisher and a reader in one. `answers` says what the pipeline writes about a request at once."""

    answers: Answers = lambda request: ()
    lines: list[Line] = field(default_factory=list)
    followers: list[Callable[[Any], None]] = field(default_factory=list)
    serde: Serde = field(default_factory=Serde)
    reads: int = 0

    async def send_all(self, records: Iterable[Outgoing]) -> None:
        for each in records:
            self.put(each.topic, each.key, each.value)
            if each.topic == topics.REQUESTS:
                for record in self.answers(self.serde.of(InferenceRequest).decode(each.value)):
                    self.tell(record)
        await asyncio.sleep(0)

    async def partitions(self, topic: str) -> int:
        return PARTITIONS

    def tell(self, record: Any) -> None:
        """A response or a chunk."""
        topic = topics.CHUNKS if isinstance(record, ResponseChunk) else topics.RESPONSES
        self.put(topic, record.request_id, self.serde.encode(record))

    def put(self, topic: str, key: str, value: bytes | None, at: datetime | None = None) -> None:
        ms = int((at or datetime.now(UTC)).timestamp() * 1000)
        line = Line(topic, partition_of(key, PARTITIONS), len(self.lines), ms, key.encode(), value or b"")
        self.lines.append(line)
        for follow in self.followers:
            follow(line)

    async def read(self, stretches: Sequence[Stretch], keep: Callable[[Any], bool], *, most: int = 1_000, **_: int) -> Found:
        self.reads += 1
        kept = []
        for stretch in stretches:
            for line in self.lines:
                if (line.topic, line.partition) != (stretch.topic, stretch.partition):
                    continue
                early = line.timestamp < stretch.since_ms if stretch.offset is None else line.offset < stretch.offset
                if early or (stretch.until_ms is not None and line.timestamp > stretch.until_ms) or not keep(line):
                    continue
                kept.append(line)
                if len(kept) == most:
                    return Found(kept, line.offset + 1)
        return Found(kept)

    def of(self, topic: str) -> list[Line]:
        return [line for line in self.lines if line.topic == topic]


class Process:
    """One process of the edge over the log, without its HTTP server."""

    def __init__(self, log: MemoryLog) -> None:
        catalogue = DeploymentCatalogue("test", {}, (), {})
        self.runtime = Runtime(Settings(_env_file=None), "edge", log.serde, catalogue, log, PARTITIONS)  # type: ignore[arg-type]
        self.mailbox, self.claims = Mailbox(self.runtime), Claims(self.runtime)
        self.lineages = Lineages(self.runtime, self.mailbox, log)  # type: ignore[arg-type]
        self.asking = AskingOnce(self.runtime, self.mailbox, self.claims, self.lineages)
        self.door = Door(self.runtime, Tenants(), self.mailbox, self.asking, Cancelling(self.runtime))
        for line in log.lines:
            self._follow(line)
        log.followers.append(self._follow)
        self.parts = NativeParts(self.asking, self.claims, self.lineages, log)  # type: ignore[arg-type]

    def _follow(self, line: Line) -> None:
        if line.topic in {topics.RESPONSES, topics.CHUNKS}:
            self.mailbox._apply(line)
        if line.topic == topics.IDEMPOTENCY:
            self.claims._apply(line)

    def client(self, tenant: str = "acme") -> TestClient:
        app = edge_app(self.door, self.parts.routes(self.door, OpenAi(self.door).routes()))
        return TestClient(app, headers={"authorization": f"Bearer {tenant}"})


def final(request: InferenceRequest, text: str = "The Rhine.", **changes: Any) -> InferenceResponse:
    now = datetime.now(UTC)
    fields = {
        "final": True,
        "status": ResponseStatus.OK,
        "request_model": request.model,
        "attempts": 1,
        "task_kind": "chat",
        "policy": "cheapest@1",
        "received_at": now,
        "answered_at": now,
        "operation": request.operation,
        "output": Output(text, finish_reason="stop"),
        "usage": Usage(3, 4),
        "cost_nanousd": 1_500,
        "call_id": "call-1",
    }
    return InferenceResponse(request.request_id, request.tenant, **(fields | changes))


def chunk(request: InferenceRequest, seq: int, text: str = "", *, call_id: str = "call-1", **changes: Any) -> ResponseChunk:
    emitted_at = datetime.now(UTC) + timedelta(microseconds=seq)
    fields = {"attempt": 1, "emitted_at": emitted_at, "content": text or None}
    return ResponseChunk(request.request_id, request.tenant, call_id, seq=seq, **(fields | changes))


def streamed(request: InferenceRequest) -> list[Any]:
    """An answer in two chunks, and the end."""
    return [chunk(request, 0, "The "), chunk(request, 1, "Rhine.", last=True), final(request)]
