"""Sums of the ledger beside the sums of a usage report."""

import re
import sys
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from processors.reconcile.lines import Bucket
from schemas.ledger import CostEvent, CostKind

_DATE = re.compile(r"[-@](\d{4}-\d{2}-\d{2}|\d{8})$")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_PARTS = ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_write_input_tokens")


def family(model: str) -> str:
    """A model's name without the date of its snapshot: who asks for the one is billed for the other.

    >>> family("gpt-4o-mini-2024-07-18"), family("claude-3-7-sonnet-20250219"), family("gpt-4o")
    ('gpt-4o-mini', 'claude-3-7-sonnet', 'gpt-4o')
    """
    return _DATE.sub("", model)


@dataclass(slots=True)
class Sums:
    """Tokens and calls of one side. A part of the provider's is None when its report does not tell it."""

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_input_tokens: int | None = 0
    cache_write_input_tokens: int | None = 0
    calls: int | None = 0
    estimated_calls: int = 0

    def add(self, other: "Sums") -> None:
        self.input_tokens += other.input_tokens
        self.output_tokens += other.output_tokens
        self.cache_read_input_tokens = _sum(self.cache_read_input_tokens, other.cache_read_input_tokens)
        self.cache_write_input_tokens = _sum(self.cache_write_input_tokens, other.cache_write_input_tokens)
        self.calls = _sum(self.calls, other.calls)
        self.estimated_calls += other.estimated_calls


@dataclass(slots=True)
class Compared:
    """One bucket of one model, both sides. `model` None: every model together."""

    provider: str
    model: str | None
    start_us: int
    end_us: int
    theirs: Sums = field(default_factory=Sums)
    ours: Sums = field(default_factory=Sums)

    @property
    def differences(self) -> dict[str, int]:
        """Tokens that the provider bills more than the ledger has, by kind; without those that agree or that it does not tell."""
        found = {}
        for name in _PARTS:
            theirs, ours = getattr(self.theirs, name), getattr(self.ours, name)
            if theirs is not None and theirs != ours:
                found[name] = theirs - ours
        return found


class Comparison:
    """The buckets of a report, in the order of time; cost events are added one by one, in any order."""

    def __init__(self, buckets: Iterable[Bucket]) -> None:
        self._rows: dict[tuple[int, int], dict[str | None, Compared]] = {}
        self.providers: set[str] = set()
        for bucket in buckets:
            self.providers.add(bucket.provider)
            row = self._rows.setdefault((bucket.start_us, bucket.end_us), {})
            model = None if bucket.model is None else family(bucket.model)
            told = bucket.told
            found = row.setdefault(model, Compared(bucket.provider, model, bucket.start_us, bucket.end_us))
            found.theirs.add(
                Sums(
                    told.input_tokens,
                    told.output_tokens,
                    told.cache_read_input_tokens,
                    told.cache_write_input_tokens,
                    bucket.requests,
                )
            )
        self._spans = sorted(self._rows)

    def add(self, event: CostEvent) -> bool:
        """Add the event to the bucket of its call's start. False when no bucket of the report covers it.

        A call that was not billed counts as no request. A model that the report does not have gets a row of its own.
        """
        if event.provider not in self.providers or event.kind not in {CostKind.CALL, CostKind.ADJUSTED}:
            return False
        at_us = (event.occurred_at - _EPOCH) // timedelta(microseconds=1)
        found = bisect_right(self._spans, (at_us, sys.maxsize)) - 1
        if found < 0 or at_us >= self._spans[found][1]:
            return False
        span = self._spans[found]
        row = self._rows[span]
        model = None if None in row else family(event.response_model or event.model)
        row.setdefault(model, Compared(event.provider, model, *span)).ours.add(_sums(event))
        return True

    def rows(self) -> list[Compared]:
        """Every bucket and model, in the order of time and name."""
        found = [compared for row in self._rows.values() for compared in row.values()]
        return sorted(found, key=lambda c: (c.start_us, c.end_us, c.model or ""))


def _sums(event: CostEvent) -> Sums:
    usage, call = event.usage, event.kind is CostKind.CALL
    estimated = (call and event.estimated) - event.replaces_estimate
    if usage is None:
        return Sums(estimated_calls=estimated)
    return Sums(
        usage.input_tokens,
        usage.output_tokens,
        usage.cache_read_input_tokens,
        usage.cache_write_input_tokens,
        int(call),
        estimated,
    )


def _sum(a: int | None, b: int | None) -> int | None:
    return None if a is None or b is None else a + b
