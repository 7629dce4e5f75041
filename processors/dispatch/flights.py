"""Flights: identical open requests of a lane share one call.

1. The first of them makes the calls; those that come while it is open follow it, each with a state and a deadline of its own.
2. Its answer is theirs, if it may be given to others at all: in one transaction, each with a final and a cost event of 0.
3. An error that all of them would meet is theirs, too. Any other end promotes the first follower: nobody is lost with a leader.
"""

from dataclasses import replace
from datetime import datetime

from processors.cache.answer import may_store
from processors.dispatch import answers, ledger
from processors.dispatch.answers import Spent
from processors.dispatch.decision import Decision, Timer
from processors.dispatch.events import RequestDue
from processors.dispatch.state import LaneState, Open, PutRequest, request_key
from schemas.calls import Output
from schemas.outcomes import InferenceResponse, ResponseStatus
from schemas.routing import CachedAnswer, RequestRouted
from schemas.state import RequestPhase, RequestState

MAX_SHARED_BYTES = 16 * 1024 * 1024
"""What one decision may write of copies of an answer: those beyond it are answered by a call of another leader."""


def leads(state: LaneState, routed: RequestRouted) -> bool:
    """Whether another open request makes the calls of the flight that the request belongs to."""
    flight = state.flight(routed)
    return flight is not None and flight.leader is not None


def follow(routed: RequestRouted, request: RequestState, decision: Decision) -> None:
    """Wait for the answer of the leader, to one's own deadline."""
    key = request_key(routed.tenant, routed.request_id)
    decision.changes.append(PutRequest(key, replace(request, phase=RequestPhase.FOLLOWING), routed))
    decision.timers.append(Timer(routed.deadline, RequestDue(key)))


def followers(state: LaneState, key: str, routed: RequestRouted) -> list[Open]:
    """The requests that wait for this one, the first first; none when it is no leader."""
    flight = state.flight(routed)
    if flight is None or flight.leader != key:
        return []
    return [state.open[follower] for follower in flight.followers]


def share(
    state: LaneState, waiting: list[Open], response: InferenceResponse, model: str, decision: Decision, *, now: datetime
) -> list[Open]:
    """Answer those who wait with the leader's response. Returns those who must be answered otherwise."""
    if not may_store(response) or response.output is None or response.deployment is None or response.provider is None:
        return waiting
    answer = CachedAnswer(
        output=response.output,
        provider=response.provider,
        deployment=response.deployment,
        model=model,
        stored_at=now,
        usage=response.usage,
        cost_nanousd=response.cost_nanousd,
        request_id=response.request_id,
    )
    most = max(1, MAX_SHARED_BYTES // size_of(response.output))
    for follower in waiting[:most]:
        routed = replace(follower.routed, cached=answer)
        ledger.avoid(state, routed, decision, now=now)
        answers.finish(routed, decision, ResponseStatus.OK, attempts=0, spent=Spent(), now=now, cached=answer, shared=True)
    return waiting[most:]


def share_error(waiting: list[Open], response: InferenceResponse, decision: Decision, *, now: datetime) -> None:
    """Answer those who wait with the leader's error."""
    for follower in waiting:
        answers.finish(follower.routed, decision, response.status, attempts=0, spent=Spent(), now=now, error=response.error)


def promoted(waiting: list[Open], *, now: datetime) -> Open | None:
    """The follower that makes the calls from now on; None when the time of all has come, which their own timers tell."""
    found = next((follower for follower in waiting if now < follower.state.deadline), None)
    return None if found is None else Open(replace(found.state, phase=RequestPhase.PARKED), found.routed)


def size_of(output: Output) -> int:
    """About what a copy of the answer takes, in bytes."""
    texts = (output.content, output.reasoning, output.data_json, *(call.arguments_json for call in output.tool_calls))
    return 512 + sum(len(text.encode()) for text in texts if text) + 4 * sum(len(vector) for vector in output.embeddings)
