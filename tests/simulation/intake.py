"""Intake: reads requests, writes routed records, then acknowledges. At least once, with the real book of offsets."""

from schemas.calls import Output, Usage
from schemas.outcomes import ErrorInfo
from schemas.requests import Operation
from schemas.routing import CachedAnswer, Fallback, RequestRouted
from streams import topics
from streams.faust_host.offsets import PartitionOffsets
from tests.simulation.schedule import Plan
from tests.simulation.world import CANDIDATES, SECOND, World, at, key_of

SORRY, KEPT = "sorry, later", "an answer of yesterday"
"""What falls back."""

Arrived = tuple[int, Plan, int, int]
"""Offset, plan, which body, when it was published (microseconds)."""


class Intake:
    """One member of intake's group; what it holds is lost when it crashes, but for what it had committed."""

    book_class = PartitionOffsets

    def __init__(self, world: World) -> None:
        self._world = world
        self._committed: tuple[int, frozenset[int]] = (0, frozenset())
        self._begin()

    def _begin(self) -> None:
        position, done = self._committed
        self._position = position
        self._book = self.book_class(position, done)
        self._held: list[Arrived] = []
        self._routed: list[Arrived] = []

    def publish(self, plan: Plan, body: int) -> None:
        """A sender's request, acknowledged by the broker."""
        world = self._world
        record = world.broker.append(topics.REQUESTS, 0, plan.tenant, None)
        record.value = (record.offset, plan, body, world.now)
        world.published[key_of(plan), body] += 1
        world.say(lambda: f"sender    publishes {plan.tenant}/{plan.request_id} body {body}")

    def take(self) -> bool:
        """Take the next request into work. False when there is none."""
        for record in self._world.broker.log(topics.REQUESTS).committed(self._position):
            self._position = record.offset + 1
            if self._book.deliver(record.offset, self) and self._book.start(record.offset, self):
                self._held.append(record.value)
                return True
        return False

    def work(self, choice: int) -> bool:
        """Write the routed record of a request that is held, and acknowledge it, now or later."""
        if self._routed and (choice % 2 or not self._held):
            self._acknowledge(self._routed.pop(choice % len(self._routed)))
        elif self._held:
            arrived = self._held.pop(choice % len(self._held))
            self._route(arrived)
            if choice % 3:
                self._acknowledge(arrived)
            else:
                self._routed.append(arrived)
        else:
            return False
        return True

    def crash(self) -> None:
        world, held, routed = self._world, len(self._held), len(self._routed)
        if held:
            world.count["K1: intake crashes, not yet routed"] += 1
        if routed:
            world.count["K1: intake crashes, routed but not acknowledged"] += 1
        world.say(lambda: f"intake    crashes with {held} requests not routed, {routed} routed and not acknowledged")
        self._begin()

    def _acknowledge(self, arrived: Arrived) -> None:
        self._book.finish(arrived[0], self)
        committable = self._book.committable()
        self._committed = (committable or 0, self._book.done)
        self._world.say(lambda: f"intake    acknowledges offset {arrived[0]}, commits {committable}")

    def _route(self, arrived: Arrived) -> None:
        world = self._world
        _, plan, body, published = arrived
        routed = routed_of(plan, body, published=published, now=world.now)
        value = world.serde.of(RequestRouted).encode(routed)
        record = world.broker.append(topics.ROUTED, world.partition_of(plan.lane), plan.lane, value)
        world.deadlines.setdefault(key_of(plan), published + plan.deadline_s * SECOND)
        world.say(
            lambda: f"intake    routes {plan.tenant}/{plan.request_id} body {body} -> routed[{record.partition}]@{record.offset}"
        )


def routed_of(plan: Plan, body: int, *, published: int, now: int) -> RequestRouted:
    """What intake decides about a request: the same each time, but for when it did."""
    fallback = {None: None, "text": Fallback(text=SORRY), "kept": Fallback(cached=_kept(plan, KEPT))}[plan.fallback]
    key = None if plan.flight is None else f"{plan.tenant}:{plan.flight}:{body}"
    return RequestRouted(
        request_id=plan.request_id,
        tenant=plan.tenant,
        lane=plan.lane,
        request=b"%d" % body,
        body_digest=b"%032d" % body,
        request_model="auto",
        task_kind="chat",
        complexity="low",
        input_tokens_estimate=50,
        policy="cheapest@1",
        received_at=at(published),
        routed_at=at(now),
        deadline=at(published + plan.deadline_s * SECOND),
        user=f"body{body}",
        operation=Operation.CHAT,
        candidates=tuple(CANDIDATES[index] for index in plan.candidates),
        cached=_kept(plan, f"cached {plan.request_id}") if plan.cached else None,
        rejection=ErrorInfo("invalid", "rejected") if plan.rejected else None,
        cache_key=key,
        cache_ttl_s=None if key is None else 3_600,
        flight_key=key,
        hedge_after_ms=plan.hedge_after_ms,
        fallback=fallback,
    )


def _kept(plan: Plan, content: str) -> CachedAnswer:
    """An earlier answer."""
    candidate = CANDIDATES[plan.candidates[0] if plan.candidates else 0]
    where = (candidate.provider, candidate.deployment, candidate.model)
    output = Output(content, finish_reason="stop")
    return CachedAnswer(output, *where, stored_at=at(0), usage=Usage(10, 5), cost_nanousd=12_345)
