"""Judges the calls under one request id as the provider counts them: not more attempts than allowed have arrived."""

from collections.abc import Sequence

from streams.verify.facts import Fact, Seen, Sent
from streams.verify.tally import Tally, Terms
from streams.verify.verdict import Problem, ProblemKind


def judge(_name: str, facts: Sequence[Fact], terms: Terms, tally: Tally) -> None:
    """Every attempt of which a call has arrived counts once: an order that came again after a crash is the same attempt.

    The provider does not know the tenant, so the calls of several requests may come together here; their STARTED reports
    tell them apart.
    """
    arrived = {f.call_id: f.provider for f in facts if isinstance(f, Seen)}
    attempts: dict[str, dict[int, str]] = {}
    for fact in facts:
        if isinstance(fact, Sent) and fact.call_id in arrived:
            attempts.setdefault(fact.owner, {})[fact.attempt] = fact.call_id
    for owner, calls in attempts.items():
        if len(calls) > terms.max_attempts:
            where = ", ".join(sorted({arrived[call_id] for call_id in calls.values()}))
            message = (
                f"{len(calls)} attempts arrived at {where}, {terms.max_attempts} are allowed (PENSTOCK_MAX_ATTEMPTS); "
                f"the calls: {', '.join(list(calls.values())[:10])}"
            )
            tally.add(Problem(ProblemKind.TOO_MANY_ATTEMPTS, owner.partition(":")[2], message))
