"""What became of a job, for people and for scripts."""

from dataclasses import dataclass, field
from typing import Any

from streams import money
from streams.cli import screen
from streams.cli.answers import Summary
from streams.cli.exits import ExitCode

BAD_LINES_KEPT = 1_000


@dataclass(slots=True)
class Report:
    """What became of a job. `bad` are line numbers with reasons, the first BAD_LINES_KEPT of `bad_count`."""

    published: int = 0
    repeated: int = 0
    bad_count: int = 0
    bad: list[tuple[int, str]] = field(default_factory=list)
    late_ms: dict[str, float] | None = None
    answers: Summary | None = None
    unanswered: int = 0
    error: str | None = None

    def add_bad(self, number: int, why: str) -> None:
        self.bad_count += 1
        if len(self.bad) < BAD_LINES_KEPT:
            self.bad.append((number, why))

    @property
    def exit_code(self) -> ExitCode:
        if self.unanswered:
            return ExitCode.TIMEOUT
        good = self.error is None and not self.bad_count and (self.answers is None or self.answers.clean)
        return ExitCode.OK if good else ExitCode.NO

    def as_json(self) -> dict[str, Any]:
        return {
            "published": self.published,
            "repeated_ids": self.repeated,
            "bad_lines": self.bad_count,
            "bad": [{"line": number, "error": why} for number, why in self.bad],
            "late_ms": self.late_ms,
            "unanswered": self.unanswered,
            "error": self.error,
            **({} if self.answers is None else {"answers": self.answers.as_json()}),
        }


def show(report: Report, *, dry_run: bool = False) -> None:
    """The report in lines for people."""
    done = "would be published" if dry_run else "published"
    repeated = f", {report.repeated:,} of them with an id that stood before" if report.repeated else ""
    bad = f", {money.plural(report.bad_count, 'bad line')} left out" if report.bad_count else ""
    screen.say(f"{money.plural(report.published, 'request')} {done}{repeated}{bad}")
    if report.late_ms is not None:
        late = report.late_ms
        screen.say(f"sent late by {late['p50']:g} ms p50, {late['p99']:g} ms p99, {late['max']:g} ms at worst")
    if report.error:
        screen.say(f"penstock: {report.error}; publish the same file again: what was answered is not paid twice")
    if report.answers is not None:
        show_answers(report.answers)
    if report.unanswered:
        screen.say(f"penstock: {money.plural(report.unanswered, 'request')} not answered in time; see `penstock doctor`")


def show_answers(summary: Summary) -> None:
    """The answers in lines for people, on standard output."""
    states = ", ".join(f"{count:,} {_STATUS.get(status, status)}" for status, count in summary.by_status.most_common())
    screen.put(f"answers    {states or 'none'}")
    if summary.errors:
        screen.put(f"errors     {', '.join(f'{count:,} {kind}' for kind, count in summary.errors.most_common())}")
    by = [f"{count:,} {name}" for name, count in summary.by_provider.most_common()]
    if summary.cache_hits:
        by.append(f"{summary.cache_hits:,} from the cache")
    screen.put(f"by         {', '.join(by) or 'nobody'}")
    p50, p95 = summary.latency_ms(50), summary.latency_ms(95)
    if p50 is not None and p95 is not None:
        screen.put(f"latency    {money.duration(p50)} p50, {money.duration(p95)} p95")
    screen.put(f"tokens     {summary.input_tokens:,} in, {summary.output_tokens:,} out")
    unknown = f", and {money.plural(summary.unpriced, 'answer')} of unknown price" if summary.unpriced else ""
    screen.put(f"cost       {money.dollars(summary.cost_nanousd)}{unknown}")


_STATUS = {"ok": "ok", "error": "failed", "expired": "expired", "duplicate": "answered before", "conflict": "in conflict"}
