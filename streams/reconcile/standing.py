"""How the two sides stand: counts, sums, and the first of each kind for eyes."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from processors.reconcile.lines import Line
from schemas.calls import Usage
from streams.reconcile.index import Booked
from streams.reconcile.judging import Agreed, Differs, Finding, OnlyOurs, OnlyTheirs, Outside

KEPT = 1_000
Pricer = Callable[[Line], int | None]
"""What a line of the provider's costs, in 1e-9 US dollars; None when that is not known."""


@dataclass(slots=True)
class Group:
    """Calls of one kind. Those of unknown price are not in the sum."""

    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_nanousd: int = 0
    unpriced: int = 0
    first: list[dict[str, Any]] = field(default_factory=list)

    def add(self, input_tokens: int, output_tokens: int, cost_nanousd: int | None, shown: dict[str, Any]) -> None:
        self.calls += 1
        self.input_tokens += input_tokens
        self.output_tokens += output_tokens
        self.cost_nanousd += cost_nanousd or 0
        self.unpriced += cost_nanousd is None
        if len(self.first) < KEPT:
            self.first.append(shown)

    def to_json(self, most: int) -> dict[str, Any]:
        return {
            "calls": self.calls,
            "input_tokens": self.input_tokens,
            "output_tokens": self.output_tokens,
            "cost_nanousd": self.cost_nanousd,
            "unpriced": self.unpriced,
            "first": self.first[:most],
        }


@dataclass(slots=True)
class Standing:
    """The counts of one look at both sides."""

    agreed: int = 0
    estimates: int = 0
    """Of those that differ: charged as an estimate."""
    absent: int = 0
    """Of those that differ: the provider has no such call."""
    outside: int = 0
    outside_estimated: int = 0
    differing: Group = field(default_factory=Group)
    """Their tokens are what changes; the cost is left out, for the dispatcher prices it."""
    only_ledger: Group = field(default_factory=Group)
    only_provider: Group = field(default_factory=Group)

    @property
    def clean(self) -> bool:
        """Whether nothing is left to ask."""
        return not (self.differing.calls or self.only_ledger.calls or self.only_provider.calls)

    def add(self, finding: Finding, price: Pricer) -> None:
        match finding:
            case Agreed():
                self.agreed += 1
            case Outside(booked):
                self.outside += 1
                self.outside_estimated += booked.charged.estimated
            case Differs(booked, usage):
                self._differs(booked, usage)
            case OnlyOurs(booked):
                charged = booked.charged
                self.only_ledger.add(charged.input_tokens, charged.output_tokens, charged.cost_nanousd, _shown(booked))
            case OnlyTheirs(line):
                cost = price(line)
                told, shown = line.told, {"id": line.id, "provider": line.provider, "model": line.model}
                tokens = {"input_tokens": told.input_tokens, "output_tokens": told.output_tokens}
                self.only_provider.add(told.input_tokens, told.output_tokens, cost, {**shown, **tokens, "cost_nanousd": cost})

    def _differs(self, booked: Booked, usage: Usage | None) -> None:
        charged, actual = booked.charged, usage or Usage(0, 0)
        self.estimates += charged.estimated
        self.absent += usage is None
        provider = {"provider_input_tokens": actual.input_tokens, "provider_output_tokens": actual.output_tokens}
        self.differing.add(
            actual.input_tokens - charged.input_tokens,
            actual.output_tokens - charged.output_tokens,
            0,
            {**_shown(booked), **provider, "absent": usage is None},
        )

    def to_json(self, most: int) -> dict[str, Any]:
        """The counts, with the first `most` of each kind."""
        return {
            "clean": self.clean,
            "agreed": self.agreed,
            "differing": self.differing.to_json(most),
            "estimates": self.estimates,
            "absent": self.absent,
            "only_ledger": self.only_ledger.to_json(most),
            "only_provider": self.only_provider.to_json(most),
            "outside": self.outside,
            "outside_estimated": self.outside_estimated,
        }


def _shown(booked: Booked) -> dict[str, Any]:
    charged = booked.charged
    return {
        "call_id": booked.call_id,
        "tenant": booked.tenant,
        "request_id": booked.request_id,
        "provider": booked.provider,
        "model": booked.model,
        "estimated": charged.estimated,
        "input_tokens": charged.input_tokens,
        "output_tokens": charged.output_tokens,
        "cost_nanousd": charged.cost_nanousd,
    }
