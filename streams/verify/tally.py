"""What is counted on the way to a verdict."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from streams.verify.verdict import Problem, ProblemKind

KEPT = 50


@dataclass(frozen=True, slots=True)
class Terms:
    """What the check may assume.

    `now_us`: when the topics' ends were taken. `quiet`: nothing was added to the log while it was read, so that all topics
    stand at the same moment. `ends`: the end offsets of every topic, by partition. `with_calls`: the provider's own log was
    read as well.
    """

    now_us: int
    quiet: bool
    with_calls: bool
    max_attempts: int
    dedupe_horizon_us: int
    ends: Mapping[str, Sequence[int]] = field(default_factory=dict)
    grace_us: int = 10_000_000
    """How long after its time something may still be on its way."""


@dataclass(slots=True)
class Tally:
    """Counts, and the first KEPT problems of each kind."""

    acknowledged: int = 0
    repeats: int = 0
    final: int = 0
    missing: int = 0
    duplicate_finals: int = 0
    calls_started: int = 0
    duplicate_calls: int = 0
    cost_events: int = 0
    cache_hits: int = 0
    adjustments: int = 0
    estimated: int = 0
    wasted: int = 0
    unpriced: int = 0
    dead_letters: int = 0
    totals: int = 0
    wrong_totals: int = 0
    in_flight: int = 0
    provider_calls: int = 0
    provider_input_tokens: int = 0
    provider_output_tokens: int = 0
    ledger_input_tokens: int = 0
    ledger_output_tokens: int = 0
    cost_nanousd: int = 0
    problem_count: int = 0
    found: dict[ProblemKind, list[Problem]] = field(default_factory=dict)

    def add(self, problem: Problem) -> None:
        self.problem_count += 1
        if problem.kind is ProblemKind.IN_FLIGHT:
            self.in_flight += 1
        kept = self.found.setdefault(problem.kind, [])
        if len(kept) < KEPT:
            kept.append(problem)

    def first(self, count: int) -> tuple[Problem, ...]:
        """Up to `count` problems: of every kind at least one where there is room, what is in flight last."""
        rows = [self.found[kind] for kind in ProblemKind if kind in self.found]
        picked = [row[i] for i in range(KEPT) for row in rows if i < len(row)]
        order = list(ProblemKind)
        return tuple(sorted(picked[:count], key=lambda problem: order.index(problem.kind)))
