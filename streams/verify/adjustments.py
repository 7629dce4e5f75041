"""Judges what was posted later to a call's charge, and says how the call stands now."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from streams.verify.facts import Adjusted, Charged
from streams.verify.verdict import ProblemKind

Wrong = tuple[ProblemKind, str, Adjusted]


class Standing(NamedTuple):
    """The sum of a call's cost events."""

    input_tokens: int
    output_tokens: int
    cost_nanousd: int | None
    estimated: bool
    adjusted: bool


def standing(charged: Charged, adjusted: Sequence[Adjusted]) -> Standing:
    """The charge with every adjustment once; a cost that is unknown anywhere stays unknown."""
    posted = list({event.sequence: event for event in reversed(adjusted)}.values())
    costs = [charged.cost_nanousd, *(event.cost_nanousd for event in posted)]
    return Standing(
        input_tokens=max(charged.input_tokens, 0) + sum(event.input_tokens for event in posted),
        output_tokens=max(charged.output_tokens, 0) + sum(event.output_tokens for event in posted),
        cost_nanousd=None if None in costs else sum(cost for cost in costs if cost is not None),
        estimated=charged.estimated and not any(event.replaces_estimate for event in posted),
        adjusted=bool(posted),
    )


def wrongs(charged: Charged, adjusted: Sequence[Adjusted]) -> Iterator[Wrong]:
    """What is wrong with the adjustments of a call that was charged."""
    seen: dict[int, Adjusted] = {}
    estimated = charged.estimated
    for event in adjusted:
        if event.sequence == 0:
            yield ProblemKind.BAD_ADJUSTMENT, "its event id is not `<call_id>/adjusted/<n>`, so it may be posted twice", event
        elif event.sequence in seen:
            first = seen[event.sequence]
            message = f"adjustment {event.sequence} stands already at partition {first.partition}, offset {first.offset}"
            yield ProblemKind.DOUBLE_CHARGE, f"{message}; it must count once: run one `penstock reconcile` again to see", event
            continue
        elif event.sequence > 1 and event.sequence - 1 not in seen:
            message = f"adjustment {event.sequence}, but none of number {event.sequence - 1} before it; was one lost?"
            yield ProblemKind.BAD_ADJUSTMENT, message, event
        seen[event.sequence] = event
        if (event.request, event.attempt) != (charged.request, charged.attempt):
            message = (
                f"adjusts attempt {event.attempt} of {event.request.partition(':')[2]}, but the call was charged to attempt "
                f"{charged.attempt} of {charged.request.partition(':')[2]}"
            )
            yield ProblemKind.CHARGE_DIFFERS, message, event
        if event.replaces_estimate != estimated:
            says = "replaces an estimate, but the call stands as counted" if event.replaces_estimate else "leaves the estimate"
            message = f"{says}: the count of estimates in the totals is off by one; compare it with the call's own cost event"
            yield ProblemKind.BAD_ADJUSTMENT, message, event
        estimated = estimated and not event.replaces_estimate
    now = standing(charged, adjusted)
    if adjusted and min(now.input_tokens, now.output_tokens, now.cost_nanousd or 0) < 0:
        message = (
            f"with it the call stands at {now.input_tokens} input and {now.output_tokens} output tokens and {now.cost_nanousd} "
            "nano-dollars, which cannot be: more was taken back than was charged"
        )
        yield ProblemKind.BAD_ADJUSTMENT, message, adjusted[-1]
