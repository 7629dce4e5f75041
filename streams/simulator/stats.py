"""Counters of what the simulator did, by provider, for `GET /_sim/stats`."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from streams.simulator.tokens import Usage


@dataclass(slots=True)
class ProviderStats:
    arrived: int = 0
    finished: int = 0
    completed: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    bytes_out: int = 0
    by_status: Counter[str] = field(default_factory=Counter)
    by_fault: Counter[str] = field(default_factory=Counter)

    def finish(self, *, completed: bool, usage: Usage, bytes_out: int, status: int | None, fault: str | None) -> None:
        self.finished += 1
        self.completed += completed
        self.input_tokens += usage.input_tokens
        self.output_tokens += usage.output_tokens
        self.bytes_out += bytes_out
        self.by_status["none" if status is None else str(status)] += 1
        if fault is not None:
            self.by_fault[fault] += 1

    def as_data(self) -> dict[str, Any]:
        return {
            "arrived": self.arrived,
            "finished": self.finished,
            "in_flight": self.arrived - self.finished,
            "completed": self.completed,
            "input_tokens": self.input_tokens,
            "output_tokens": self.output_tokens,
            "bytes_out": self.bytes_out,
            "by_status": dict(self.by_status),
            "by_fault": dict(self.by_fault),
        }
