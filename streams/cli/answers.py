"""Waits for the answers to requests that were just published, and sums them up."""

import asyncio
from array import array
from collections import Counter
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import Any

from schemas.errors import RecordError
from schemas.outcomes import InferenceResponse, ResponseStatus
from schemas.serde import Codec
from streams.cli.reading import Reader

Identity = tuple[str, str]
"""Tenant and request_id."""


@dataclass(frozen=True, slots=True)
class Answered:
    response: InferenceResponse
    latency_ms: float
    """From handing the request to the producer until the response was read here."""


class Answers:
    """Reads ai.responses from where the reader stands; `expect` a request before it is published."""

    def __init__(self, reader: Reader, codec: Codec[InferenceResponse]) -> None:
        self._reader = reader
        self._codec = codec
        self._sent: dict[Identity, float] = {}
        self._keys: Counter[bytes] = Counter()

    def __len__(self) -> int:
        return len(self._sent)

    def expect(self, identity: Identity) -> None:
        if identity not in self._sent:
            self._keys[identity[1].encode()] += 1
        self._sent[identity] = _now_s()

    def forget(self, identity: Identity) -> None:
        if self._sent.pop(identity, None) is not None:
            self._keys[identity[1].encode()] -= 1

    async def arrive(self) -> AsyncGenerator[Answered, None]:
        """Each expected answer once, as it comes; never ends by itself.

        A notice that the request was answered before, or that its id stands for another request, ends the wait as well.
        """
        async for record in self._reader.follow():
            if not self._keys.get(record.key):
                continue  # somebody else's, and not worth decoding
            try:
                response = self._codec.decode(record.value)
            except RecordError:
                continue  # no response of ours, whoever wrote it there
            identity = (response.tenant, response.request_id)
            sent_s = self._sent.get(identity)
            if sent_s is None:
                continue
            self.forget(identity)
            yield Answered(response, (_now_s() - sent_s) * 1000)


@dataclass(slots=True)
class Summary:
    """What came back, folded one answer at a time: a few bytes each."""

    by_status: Counter[str] = field(default_factory=Counter)
    by_provider: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    cache_hits: int = 0
    cost_nanousd: int = 0
    unpriced: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    latencies_ms: "array[float]" = field(default_factory=lambda: array("f"))

    def add(self, answered: Answered) -> None:
        response = answered.response
        self.by_status[response.status.value] += 1
        self.latencies_ms.append(answered.latency_ms)
        if response.error is not None and response.final:
            self.errors[response.error.kind] += 1
        if response.cache.served:
            self.cache_hits += 1
        elif response.provider is not None:
            self.by_provider[response.provider] += 1
        if response.cost_nanousd is None:
            self.unpriced += 1
        else:
            self.cost_nanousd += response.cost_nanousd
        if response.usage is not None and not response.cache.served:
            self.input_tokens += response.usage.input_tokens
            self.output_tokens += response.usage.output_tokens

    @property
    def answered(self) -> int:
        return self.by_status.total()

    @property
    def clean(self) -> bool:
        """Whether every answer is one: a request that was answered before counts as answered."""
        return set(+self.by_status) <= {ResponseStatus.OK.value, ResponseStatus.DUPLICATE.value}

    def latency_ms(self, percent: int) -> float | None:
        if not self.latencies_ms:
            return None
        ordered = sorted(self.latencies_ms)
        return round(ordered[min(len(ordered) - 1, len(ordered) * percent // 100)], 1)

    def as_json(self) -> dict[str, Any]:
        return {
            "answered": self.answered,
            "by_status": dict(self.by_status),
            "by_provider": dict(self.by_provider),
            "errors": dict(self.errors),
            "cache_hits": self.cache_hits,
            "cost_nanousd": self.cost_nanousd,
            "unpriced": self.unpriced,
            "input_tokens": self.input_tokens,
            "output_tokens": self.output_tokens,
            "latency_ms": {"p50": self.latency_ms(50), "p95": self.latency_ms(95)},
        }


def _now_s() -> float:
    return asyncio.get_running_loop().time()
