"""F18: replies that are no JSON, and usage that is missing, zero, below zero, absurd."""

import time
from dataclasses import dataclass

from schemas.calls import CallReported, FailureKind, UsageSource
from schemas.ledger import CostEvent, PricingStatus
from schemas.outcomes import ResponseStatus
from tests.fault.case import PROVIDERS, Case, Observed
from tests.fault.cases._asking import Asking, answers, not_answered, not_in_time
from tests.fault.load import Load, mixed
from tests.fault.rig import Rig

EACH, OUT, DEADLINE_S = 4, 24, 3.0
NO_REPLIES = ("malformed_json", "html_200")
UNREADABLE = frozenset({FailureKind.MALFORMED_REPLY})
OVERTAKEN = frozenset({FailureKind.TIMED_OUT, FailureKind.EXPIRED})
"""Of a call that was made again when the deadline was near."""
SAID = ("does not understand", "had not finished", "the deadline passed")
USAGES = ("missing_usage", "zero_usage", "negative_usage", "absurd_usage")


@dataclass(frozen=True, slots=True)
class Sent:
    """A load of one kind at one provider."""

    fault: str
    provider: str
    stream: bool
    load: Load

    @property
    def name(self) -> str:
        return f"{self.provider}, {self.fault}{', streamed' if self.stream else ''}"


async def odd_replies(rig: Rig) -> Observed:
    """Each kind at each provider, streamed and not, among others."""
    sent: list[Sent] = []
    async with rig.load(100_000, per_s=15, make=mixed) as others:
        await rig.flowing(20)
        for provider in PROVIDERS:
            for stream in (False, True):
                for fault in (*NO_REPLIES, *USAGES):
                    deadline_s = DEADLINE_S if fault in NO_REPLIES else None
                    make = Asking(provider, fault=fault, out=OUT, stream=stream, deadline_s=deadline_s)
                    async with rig.load(EACH, per_s=100, make=make) as load:
                        sent.append(Sent(fault, provider, stream, load))
        await rig.caught_up(time.time())
        others.stop()
    observed = await rig.conclude(duplicates_at_most=0, deaths=0)
    unreadable, told = [s for s in sent if s.fault in NO_REPLIES], [s for s in sent if s.fault in USAGES]
    return observed.also(
        *not_answered(rig, others, "other requests"),
        *(p for s in unreadable for p in not_in_time(rig, s.load, DEADLINE_S, s.name, all_expire=True)),
        *(p for s in unreadable for p in _unnamed(rig, s)),
        *(p for s in told for p in not_answered(rig, s.load, s.name)),
        *(p for s in told for p in _usage(rig, s)),
        notes=(f"{sum(len(rig.seen.call_ids_of(r)) for s in unreadable for r in s.load.sent_at)} replies that nobody can read",),
    )


def _unnamed(rig: Rig, sent: Sent) -> list[str]:
    """The calls have failed by name, unless the deadline was faster, and the requests' errors say why."""
    problems = []
    for request_id in sent.load.sent_at:
        for number, call_id in enumerate(rig.seen.call_ids_of(request_id)):
            failure = rig.seen.ended[call_id].failure
            if failure is None or failure.kind not in (UNREADABLE if number == 0 else {*UNREADABLE, *OVERTAKEN}):
                problems.append(f"{sent.name}: call {number + 1} is reported as {failure}")
    problems += [
        f"{sent.name}: answered with {answer.error}"
        for answer in answers(rig, sent.load)
        if answer.error is None or not any(words in answer.error.message for words in SAID)
    ]
    return problems[:2]


def _usage(rig: Rig, sent: Sent) -> list[str]:
    """The ledger line of each answer is what can be known of it, and says what is not known."""
    problems = []
    for answer in answers(rig, sent.load):
        lines = rig.seen.costs[answer.request_id]
        started = rig.seen.started.get(str(answer.call_id))
        if answer.status is not ResponseStatus.OK or started is None or len(lines) != 1:
            problems.append(f"{sent.name}: {len(lines)} ledger lines")
        elif not _as_expected(sent.fault, lines[0], started) or answer.usage != lines[0].usage:
            problems.append(f"{sent.name}: charged as {lines[0]}, answered with {answer.usage}")
    return problems[:2]


def _as_expected(fault: str, line: CostEvent, started: CallReported) -> bool:
    """Missing: an estimate by the upper bounds. Zero: zero, and priced so. What cannot be: clamped to the bounds, flagged."""
    usage, bounds = line.usage, (started.input_tokens_estimate, started.output_tokens_bound)
    if usage is None or line.wasted or line.pricing_status is not PricingStatus.PRICED:
        return False
    counts, reported = (usage.input_tokens, usage.output_tokens), usage.source is UsageSource.REPORTED
    match fault:
        case "missing_usage":
            return line.estimated and not reported and counts == bounds and bool(line.cost_nanousd)
        case "zero_usage":
            return not line.estimated and reported and not usage.clamped and counts == (0, 0) and line.cost_nanousd == 0
        case _:
            return usage.clamped and counts == bounds and bool(line.cost_nanousd)


CASES = [Case("F18", "replies that are no JSON; usage missing, zero, negative, absurd", odd_replies)]
