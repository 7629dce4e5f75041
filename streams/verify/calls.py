"""Judges the facts of one call: one cost event a started call, and what the provider's own log says of it."""

from collections.abc import Sequence
from typing import TypeVar

from schemas.ledger import PricingStatus
from streams import topics
from streams.verify import adjustments
from streams.verify.adjustments import Standing
from streams.verify.facts import Adjusted, Answered, Arrived, Charged, Ended, Fact, Started
from streams.verify.tally import Tally, Terms
from streams.verify.verdict import Problem, ProblemKind

F = TypeVar("F", bound=Fact)


def judge(call_id: str, facts: Sequence[Fact], terms: Terms, tally: Tally) -> None:
    """What is wrong with the call goes into the tally."""
    call = _Call(call_id, facts, terms, tally)
    call.count()
    call.is_charged_once()
    call.is_priced()
    call.is_adjusted_rightly()
    call.has_answered_rightly()
    if terms.with_calls:
        call.is_what_the_provider_saw()


class _Call:
    """One call, and where its problems go."""

    def __init__(self, call_id: str, facts: Sequence[Fact], terms: Terms, tally: Tally) -> None:
        self._id, self._terms, self._tally = call_id, terms, tally
        self._started, self._ended = _of(facts, Started), _of(facts, Ended)
        self._charged, self._adjusted = _of(facts, Charged), _of(facts, Adjusted)
        self._answered, self._arrived = _of(facts, Answered), _of(facts, Arrived)

    def count(self) -> None:
        tally = self._tally
        tally.calls_started += bool(self._started)
        tally.adjustments += len(self._adjusted)
        tally.cost_events += len(self._charged)
        for event in self._charged:
            tally.estimated += event.estimated
            tally.wasted += event.wasted
            tally.unpriced += event.cost_nanousd is None

    def is_charged_once(self) -> None:
        for again in self._charged[1:]:
            first = self._charged[0]
            message = f"charged a second time; the first cost event stands at partition {first.partition}, offset {first.offset}"
            self._wrong(ProblemKind.DOUBLE_CHARGE, message, again)
        if self._started and not self._charged:
            self._uncharged(self._started[0])
        elif self._charged and not self._started:
            self._later(
                ProblemKind.CHARGE_WITHOUT_START, "charged, but no STARTED report says that it was made", self._charged[0]
            )
        elif self._charged:
            started, charged = self._started[0], self._charged[0]
            if (started.request, started.attempt) != (charged.request, charged.attempt):
                message = (
                    f"charged to attempt {charged.attempt} of {charged.request.partition(':')[2]}, "
                    f"but started for attempt {started.attempt} of {started.request.partition(':')[2]}"
                )
                self._wrong(ProblemKind.CHARGE_DIFFERS, message, charged)

    def is_priced(self) -> None:
        """An unknown price is null, never 0; what was not billed is 0; what was priced has an amount."""
        for event in self._charged:
            fits = {
                PricingStatus.UNKNOWN.value: event.cost_nanousd is None,
                PricingStatus.NOT_BILLED.value: event.cost_nanousd == 0,
                PricingStatus.PRICED.value: event.cost_nanousd is not None,
            }[event.pricing]
            if not fits:
                message = f"pricing status {event.pricing} beside a cost of {event.cost_nanousd}; the ledger contradicts itself"
                self._wrong(ProblemKind.CHARGE_DIFFERS, message, event)

    def is_adjusted_rightly(self) -> None:
        if not self._charged:
            for event in self._adjusted:
                message = "adjusts a call that has no cost event; what it changes stands in the totals all the same"
                self._later(ProblemKind.ADJUSTMENT_WITHOUT_CALL, message, event)
            return
        for kind, message, event in adjustments.wrongs(self._charged[0], self._adjusted):
            self._wrong(kind, message, event)
        now = adjustments.standing(self._charged[0], self._adjusted)
        self._tally.adjusted_estimates += self._charged[0].estimated and not now.estimated

    def has_answered_rightly(self) -> None:
        for answer in self._answered:
            if not self._started:
                message = "a final response names it as the call that answered, but no STARTED report says that it was made"
                self._later(ProblemKind.ANSWER_WITHOUT_CALL, message, answer)
            elif self._charged and self._charged[0].wasted and not (self._charged[0].estimated and self._adjusted):
                # One that was charged as lost and came back after all has an adjustment, and answers.
                message = "a final response names it as the call that answered, but its cost event says `wasted`"
                self._later(ProblemKind.ANSWER_WITHOUT_CALL, message, answer)

    def is_what_the_provider_saw(self) -> None:
        arrived = self._arrived
        self._tally.provider_calls += len(arrived)
        if len(arrived) > 1:
            message = f"arrived {len(arrived)} times at {arrived[0].provider} under one id; something between repeats calls"
            self._tally.add(Problem(ProblemKind.ARRIVED_TWICE, self._id, message))
        if arrived and not self._started:
            recent = arrived[0].arrived_us > self._terms.now_us - self._terms.grace_us
            kind = ProblemKind.IN_FLIGHT if recent else ProblemKind.ARRIVED_WITHOUT_START
            message = f"arrived at {arrived[0].provider}, but no STARTED report says so: it was made unrecorded"
            self._tally.add(Problem(kind, self._id, message, topics.ATTEMPTS))
        if self._charged:
            self._billed(self._charged[0], arrived[0] if arrived else None)

    def _uncharged(self, started: Started) -> None:
        now_us, grace_us = self._terms.now_us, self._terms.grace_us
        if self._ended:
            ended = self._ended[0]
            waits = now_us < ended.reported_us + grace_us
            message = f"reported at partition {ended.partition}, offset {ended.offset}, but not charged; is a dispatcher running?"
        elif waits := now_us < started.lost_us + grace_us:
            message = "started and not yet reported or given up; run again with --wait"
        else:
            message = "started, lost, and not charged as an estimate; is a dispatcher running?"
        self._wrong(ProblemKind.IN_FLIGHT if waits else ProblemKind.UNCHARGED_CALL, message, started)

    def _billed(self, event: Charged, call: Arrived | None) -> None:
        """What the ledger says it knows must be what the provider says; an estimate may be more, and free must be free."""
        now = adjustments.standing(event, self._adjusted)
        if event.pricing == PricingStatus.NOT_BILLED.value and not now.adjusted:
            if call is not None and call.input_tokens + call.output_tokens > 0:
                message = f"free in the ledger, but {call.provider} bills {call.input_tokens} and {call.output_tokens} tokens"
                self._wrong(ProblemKind.TOKENS_DIFFER, message, event)
        elif now.estimated:
            self._covers(now, event, call)
        elif call is None:
            if now.input_tokens or now.output_tokens:
                message = "charged as reported by the provider, whose log does not have it; check that the log is of this Kafka"
                self._wrong(ProblemKind.NEVER_ARRIVED, message, event)
        elif call.truthful or now.adjusted:
            self._compare(now, event, call)

    def _covers(self, now: Standing, event: Charged, call: Arrived | None) -> None:
        """An estimate takes the output at its limit; its input is what it says, an estimate."""
        if call is None or not call.truthful:
            return
        if now.output_tokens < call.output_tokens:
            message = (
                f"estimated at {now.output_tokens} output tokens, but {call.provider} bills "
                f"{call.output_tokens}; `penstock reconcile` mends the ledger, not the estimating"
            )
            self._wrong(ProblemKind.ESTIMATE_TOO_LOW, message, event)

    def _compare(self, now: Standing, event: Charged, call: Arrived) -> None:
        tally = self._tally
        tally.provider_input_tokens += call.input_tokens
        tally.provider_output_tokens += call.output_tokens
        tally.ledger_input_tokens += now.input_tokens
        tally.ledger_output_tokens += now.output_tokens
        if (now.input_tokens, now.output_tokens) != (call.input_tokens, call.output_tokens):
            message = (
                f"charged for {now.input_tokens} input and {now.output_tokens} output tokens, but {call.provider} bills "
                f"{call.input_tokens} and {call.output_tokens}; "
                + ("run `penstock reconcile` again" if now.adjusted else "compare the adapter's reading of usage")
            )
            self._wrong(ProblemKind.TOKENS_DIFFER, message, event)

    def _later(self, kind: ProblemKind, message: str, place: Charged | Answered | Adjusted) -> None:
        """What a topic that was read a moment later can explain is only in flight."""
        self._wrong(kind if self._terms.quiet else ProblemKind.IN_FLIGHT, message, place)

    def _wrong(self, kind: ProblemKind, message: str, place: Started | Charged | Answered | Adjusted) -> None:
        self._tally.add(Problem(kind, self._id, message, _TOPICS[type(place)], place.partition, place.offset))


_TOPICS = {Started: topics.ATTEMPTS, Charged: topics.COSTS, Adjusted: topics.COSTS, Answered: topics.RESPONSES}


def _of(facts: Sequence[Fact], fact_type: type[F]) -> list[F]:
    return [f for f in facts if isinstance(f, fact_type)]
