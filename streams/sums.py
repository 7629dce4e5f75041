"""Sums of cost totals, by whatever they have."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields

from schemas.ledger import CostTotal

BY: Mapping[str, Callable[[CostTotal], str]] = {
    "tenant": lambda total: total.tenant,
    "provider": lambda total: total.provider,
    "model": lambda total: f"{total.provider}/{total.model}",
    "hour": lambda total: f"{total.hour:%Y-%m-%dT%H:00Z}",
    "day": lambda total: f"{total.hour:%Y-%m-%d}",
}
SUMMED = tuple(f.name for f in fields(CostTotal) if f.type is int)
"""The fields of a total that are added."""


@dataclass(slots=True)
class Sums:
    """The sums of some totals; the fields are those of CostTotal."""

    calls: int = 0
    cost_nanousd: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_input_tokens: int = 0
    cache_write_input_tokens: int = 0
    estimated_calls: int = 0
    wasted_calls: int = 0
    unpriced_calls: int = 0
    cache_hits: int = 0
    avoided_nanousd: int = 0

    def add(self, total: CostTotal) -> None:
        for name in SUMMED:
            setattr(self, name, getattr(self, name) + getattr(total, name))

    def as_json(self) -> dict[str, int]:
        return {name: getattr(self, name) for name in SUMMED}
