"""The verdict on finals that no call of theirs has given: an error, the deadline, or the operator's fallback."""

from collections.abc import Iterator, Mapping

from processors.dispatch.answers import CANCELLED
from schemas.calls import CallPhase
from schemas.outcomes import InferenceResponse, ResponseStatus
from tests.simulation.facts import Facts, Key
from tests.simulation.intake import KEPT, SORRY

OWN_FAULTS = frozenset({"rejected", "context_too_long"})
"""Errors that whoever is asked would give: they are told, never papered over."""


def judge_fallbacks(facts: Facts, finals: Mapping[Key, tuple[int, InferenceResponse]]) -> Iterator[str]:
    """Who has a fallback gets it in place of an error that is not the request's own; nobody whose success was read before."""
    for key, (number, final) in finals.items():
        if final.status is ResponseStatus.OK or key not in facts.routed:
            continue
        name, routed = "/".join(key), facts.routed[key][0].record
        for told in facts.reports.get(key, ()):
            if told.record.phase is CallPhase.COMPLETED and told.offset < facts.transactions[number].read_before:
                yield f"I1: {name} was answered `{final.status}` after the success of {told.record.call_id} had been read"
        own_fault = final.error is not None and final.error.kind in OWN_FAULTS
        if final.status is not ResponseStatus.FALLBACK:
            unwanted = final.error == CANCELLED
            if routed.fallback is not None and not own_fault and not unwanted and routed.rejection is None:
                yield f"fallback: {name} has one and was answered `{final.status}`"
            continue
        if routed.fallback is None or final.error is None:
            yield f"fallback: {name} has none, or does not say why it is answered by one"
        elif own_fault:
            yield f"fallback: {name} was answered by one, and the failure is its own: {final.error.kind}"
        elif final.output is None or final.output.content != (SORRY if routed.fallback.cached is None else KEPT):
            yield f"fallback: {name} was answered with another text"
