"""The verdict on flights: requests that ask the same share one call, each answered in its own name, none left behind."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from schemas.calls import CallPhase
from schemas.ledger import CostKind
from schemas.outcomes import CacheState, InferenceResponse, ResponseStatus
from schemas.routing import RequestRouted
from schemas.state import RequestPhase
from tests.simulation.facts import Facts, Key, Said
from tests.simulation.oracle_fallbacks import OWN_FAULTS
from tests.simulation.world import World

Finals = Mapping[Key, tuple[int, InferenceResponse]]


def judge_flights(world: World, facts: Facts, finals: Finals) -> Iterator[str]:
    """Nothing to say of schedules where nobody asks what another asks."""
    if all(plan.flight is None for plan in world.schedule.requests):
        return
    for said in facts.transactions:
        for response in said.responses:
            if response.final and response.cache is CacheState.SHARED:
                yield from _judge_shared(facts, said, response)
            elif response.status is ResponseStatus.ERROR and response.attempts == 0 and _own_fault(response):
                world.count["error shared"] += 1
                yield from _judge_shared_error(facts, said, response)
    for members in _flights(facts, finals).values():
        yield from _judge_members(facts, members)
    yield from _judge_leaders(world, facts)


# --- who is answered with what another was answered ----------------------------------------------------------------------


def _judge_shared(facts: Facts, said: Said, response: InferenceResponse) -> Iterator[str]:
    name = f"{response.tenant}/{response.request_id}"
    lead = next(
        (r for r in said.responses if r.final and (r.tenant, r.request_id) == (response.tenant, response.served_by)), None
    )
    if lead is None or lead.status is not ResponseStatus.OK or lead.cache is not CacheState.MISS or lead.call_id is None:
        yield f"flight: {name} shares the answer of {response.served_by}, whom no call has answered in the same transaction"
        return
    if lead.output is None or response.output != lead.output or lead.output.finish_reason != "stop":
        yield f"flight: {name} shares {response.output}, {response.served_by} was answered {lead.output}"
    if (flight := _asked(facts, response)) is None or flight != _asked(facts, lead):
        yield f"flight: {name} shares the answer of {response.served_by}, who has asked something else"
    if (response.attempts, response.cost_nanousd) != (0, 0):
        yield f"flight: {name} shares an answer after {response.attempts} orders, for {response.cost_nanousd}"
    hits = [
        e
        for e in said.costs
        if e.kind is CostKind.CACHE_HIT and (e.tenant, e.request_id) == (response.tenant, response.request_id)
    ]
    lines = [(hit.served_by, hit.cost_nanousd, hit.avoided_nanousd, hit.deployment) for hit in hits]
    if lines != [(response.served_by, 0, lead.cost_nanousd, lead.deployment)]:
        yield f"flight: {name} shares the answer of {response.served_by}, its cost events are {lines}"


def _judge_shared_error(facts: Facts, said: Said, response: InferenceResponse) -> Iterator[str]:
    backing = [
        other
        for other in said.responses
        if other.final and other.attempts and other.error == response.error and _asked(facts, other) == _asked(facts, response)
    ]
    if not backing or _asked(facts, response) is None:
        yield f"flight: {response.tenant}/{response.request_id} was never ordered, and nobody who asks the same has met its error"


def _asked(facts: Facts, response: InferenceResponse) -> str | None:
    """What the request asks: the key of its flight, of the body that was answered."""
    records = facts.routed.get((response.tenant, response.request_id), ())
    return next((found.record.flight_key for found in records if found.record.user == response.user), None)


def _own_fault(response: InferenceResponse) -> bool:
    return response.error is not None and response.error.kind in OWN_FAULTS


# --- what becomes of those who ask the same ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Member:
    """A request of a flight. `came`, `ordered`, `ended`: the transactions of its admission, first order and final."""

    key: Key
    routed: RequestRouted
    came: int
    ordered: int | None
    ended: int
    final: InferenceResponse

    @property
    def settles(self) -> bool:
        """Whether its end is that of all who follow it then."""
        if self.ordered is None:
            return False
        output = self.final.output
        whole = self.final.cache is CacheState.MISS and output is not None and output.finish_reason == "stop"
        return whole if self.final.status is ResponseStatus.OK else _own_fault(self.final)


def _flights(facts: Facts, finals: Finals) -> dict[str, list[Member]]:
    """Flights of those who were answered once."""
    ordered: dict[Key, int] = {}
    for number, said in enumerate(facts.transactions):
        for order in said.orders:
            ordered.setdefault((order.tenant, order.request_id), number)
    flights: dict[str, list[Member]] = {}
    for key, (ended, final) in finals.items():
        routed = facts.routed[key][0].record if key in facts.routed else None
        if routed is not None and routed.flight_key is not None:
            member = Member(key, routed, facts.folded_in(key), ordered.get(key), ended, final)
            flights.setdefault(routed.flight_key, []).append(member)
    return flights


def _judge_members(facts: Facts, members: list[Member]) -> Iterator[str]:
    busy = -1
    for member in sorted((m for m in members if m.ordered is not None), key=lambda m: (m.ordered, m.ended)):
        if member.ordered is not None and member.ordered < busy:
            yield f"flight: a call was ordered for {'/'.join(member.key)} while another made the calls of its flight"
        busy = max(busy, member.ended)
    for leader in members:
        success = _success(facts, leader)
        for member in members if leader.settles else ():
            if member is leader or member.came >= leader.ended:
                continue
            name, whose = "/".join(member.key), "/".join(leader.key)
            if member.ended > leader.ended:
                yield f"flight: {name} followed {whose} and was left behind when that was answered"
            expired = member.final.error is not None and member.final.error.kind == "expired" and member.ordered is None
            if expired and success is not None and success < member.routed.deadline and member.came < member.ended:
                yield f"flight: {name} expired, but the answer to {whose} stood in the log in time"


def _success(facts: Facts, leader: Member) -> datetime | None:
    """What dispatchers' clocks had shown at most when the success that answered it was reported."""
    told = (t for t in facts.reports.get(leader.key, ()) if t.record.phase is CallPhase.COMPLETED)
    return next((t.seen for t in told if t.record.call_id == leader.final.call_id), None)


def _judge_leaders(world: World, facts: Facts) -> Iterator[str]:
    """After every transaction: at most one of a flight makes calls, and one does while anybody who follows has time left."""
    codec, waiting = world.serde.of(RequestRouted), {}
    flights: dict[str, dict[str, tuple[bool, datetime]]] = {}
    for number, said in enumerate(facts.transactions):
        touched = set()
        for name, state in said.requests:
            if name in waiting:
                touched.add(key := waiting.pop(name))
                followed = flights[key].pop(name)[0]
                moved = followed and state is not None and state.phase in {RequestPhase.ORDERED, RequestPhase.PARKED}
                world.count["follower promoted"] += moved
            if state is None or state.phase is RequestPhase.FINISHED:
                continue
            if (key := codec.decode(state.routed).flight_key) is not None:
                touched.add(key)
                waiting[name] = key
                flights.setdefault(key, {})[name] = (state.phase is RequestPhase.FOLLOWING, state.deadline)
        for key in touched:
            leaders = [name for name, (follows, _) in flights[key].items() if not follows]
            if len(leaders) > 1:
                yield f"flight: after transaction {number} {sorted(leaders)} make the calls of one flight"
            left = [name for name, (_, deadline) in flights[key].items() if deadline > said.seen]
            if left and not leaders:
                yield f"flight: after transaction {number} nobody makes the calls that {sorted(left)} wait for"
