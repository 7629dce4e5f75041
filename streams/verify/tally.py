"""What is counted on the way to a verdict."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import NamedTuple

from streams.verify.facts import About
from streams.verify.verdict import Problem, ProblemKind

KEPT = 50


class Commit(NamedTuple):
    """What a group has committed for a partition: everything below `offset` is done, and what is named in `done` as well."""

    group: str
    offset: int
    done: frozenset[int] = frozenset()

    def covers(self, offset: int) -> bool:
        return offset < self.offset or offset in self.done


@dataclass(frozen=True, slots=True)
class Terms:
    """What the check may assume.

    `now_us`: when the topics' ends were taken. `quiet`: nothing was added to the log while it was read, so that all topics
    stand at the same moment. `ends`: the end offsets of every topic, by partition. `with_calls`: the provider's own log was
    read as well. `commits`: how far intake and the workers have committed, by topic and partition, read before the ends were
    taken. `injected_keys`: the bad records that were put in on purpose, by topic and key; None: nobody says which these are.
    """

    now_us: int
    quiet: bool
    with_calls: bool
    max_attempts: int
    dedupe_horizon_us: int
    ends: Mapping[str, Sequence[int]] = field(default_factory=dict)
    grace_us: int = 10_000_000
    """How long after its time something may still be on its way."""

    commits: Mapping[tuple[str, int], Commit] = field(default_factory=dict)
    injected_keys: frozenset[tuple[str, str]] | None = None
    keeps_checkpoint: bool = False
    """Whether a later run goes on from here, and so must know what no group has committed yet."""

    def covering(self, topic: str, partition: int, offset: int) -> Commit | None:
        """The commit that says that the record is done."""
        commit = self.commits.get((topic, partition))
        return commit if commit is not None and commit.covers(offset) else None

    def awaits_commit(self, topic: str, partition: int, offset: int) -> bool:
        """Whether a later run must ask again, for a group reads the partition and has not said of this record that it is done."""
        commit = self.commits.get((topic, partition)) if self.keeps_checkpoint else None
        return commit is not None and not commit.covers(offset)


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
    adjusted_estimates: int = 0
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
    last_final_us: int = 0
    problem_count: int = 0
    unsettled: set[About] = field(default_factory=set)
    """Keys that a later commit may show in another light, though nothing more is said about them."""

    found: dict[ProblemKind, list[Problem]] = field(default_factory=dict)

    def add(self, problem: Problem) -> None:
        self.problem_count += 1
        if problem.kind is ProblemKind.IN_FLIGHT:
            self.in_flight += 1
        kept = self.found.setdefault(problem.kind, [])
        if len(kept) < KEPT:
            kept.append(problem)

    def counts(self) -> dict[str, int]:
        """The counts that go on from one checkpoint to the next; those of problems do not: it has none."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name not in _NOT_CARRIED}

    def carry_on(self, carried: Mapping[str, int], judged_again: "Tally") -> None:
        """Add what was counted up to the checkpoint, less what was judged again since."""
        again = judged_again.counts()
        for name, count in carried.items():
            setattr(self, name, getattr(self, name) + count - again[name])

    def first(self, count: int) -> tuple[Problem, ...]:
        """Up to `count` problems: of every kind at least one where there is room, what is in flight last."""
        rows = [self.found[kind] for kind in ProblemKind if kind in self.found]
        picked = [row[i] for i in range(KEPT) for row in rows if i < len(row)]
        order = list(ProblemKind)
        return tuple(sorted(picked[:count], key=lambda problem: order.index(problem.kind)))


_NOT_CARRIED = frozenset(
    {"missing", "duplicate_finals", "wrong_totals", "in_flight", "problem_count", "last_final_us", "unsettled", "found"}
)
