"""Finds one request of one tenant in the log: what it asked, its final response, and its whole lineage."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from schemas.errors import RecordError
from schemas.ledger import CostKind
from schemas.outcomes import InferenceResponse
from schemas.requests import InferenceRequest
from schemas.routing import RequestRouted
from streams import clock, topics
from streams.decoding import decode
from streams.edge.lineage_log import LogReading, Record, Stretch
from streams.edge.mailbox import Mailbox
from streams.ids import made_at_s
from streams.lineage.collected import Lineage, Seen, lineages
from streams.lineage.page import page
from streams.placement import lane_partition, partition_of
from streams.runtime import Runtime
from streams.verify.derive import tenant_of

PUBLISHED_WITHIN_S = 300.0
"""A request stands in ai.requests at most so long after the time in its id."""
_SKEW = timedelta(seconds=5)
"""How far the clocks of machines may be apart."""
_SETTLED_WITHIN = timedelta(seconds=60)
"""Costs that are settled later after the answer are left to the ledger."""
_MAX_ID_CHARS = 256
_YOUNG = timedelta(seconds=60)
"""An answer to a request of so long ago has not been forgotten by the mailbox."""
_REMEMBERED = 10_000


@dataclass(frozen=True, slots=True)
class Known:
    """A request that the log has. `since` is no later than its first record.

    Of `request` nothing but its deadline and `stream` is sure to be there; it is None where the final response was found first.
    """

    request_id: str
    tenant: str
    since: datetime
    request: InferenceRequest | None
    final: InferenceResponse | None


class Lineages:
    """What the edge knows of requests beyond those that somebody waits for."""

    def __init__(self, runtime: Runtime, mailbox: Mailbox, reading: LogReading) -> None:
        self._runtime = runtime
        self._mailbox = mailbox
        self._reading = reading
        self._requests = runtime.serde.of(InferenceRequest)
        self._responses = runtime.serde.of(InferenceResponse)
        self._published: OrderedDict[tuple[str, str], InferenceRequest] = OrderedDict()

    def remember(self, request: InferenceRequest) -> None:
        """What this process has published needs no looking for; its prompt is not kept."""
        name = (request.tenant, request.request_id)
        self._published[name] = InferenceRequest(
            request.request_id, request.tenant, request.model, stream=request.stream, deadline=request.deadline
        )
        if len(self._published) > _REMEMBERED:
            self._published.popitem(last=False)

    async def find(self, tenant: str, request_id: str) -> Known | None:
        """The tenant's request; None for an unknown one and for another tenant's alike.

        An id of another make than the edge's, which tells no time, is found while its answer is recent.
        """
        if not 0 < len(request_id) <= _MAX_ID_CHARS:
            return None
        made_at = _made_at(request_id)
        if (place := self._mailbox.answered_at(request_id)) is not None:
            stretch = Stretch(topics.RESPONSES, place.partition, offset=place.offset)
            final = await self._final(tenant, request_id, stretch, alone=made_at is not None)
            if final is not None:
                return Known(request_id, tenant, (made_at or final.received_at) - _SKEW, None, final)
        if made_at is None:
            return None
        request = self._published.get((tenant, request_id)) or await self._request(tenant, request_id, made_at)
        if request is None:
            return None
        since = made_at - _SKEW
        if self._mailbox.caught_up and clock.now() - made_at < _YOUNG:
            return Known(request_id, tenant, since, request, None)
        partition = partition_of(request_id, await self._runtime.publisher.partitions(topics.RESPONSES))
        until = None if request.deadline is None else _ms(request.deadline + 2 * _SETTLED_WITHIN)
        stretch = Stretch(topics.RESPONSES, partition, since_ms=_ms(since), until_ms=until)
        return Known(request_id, tenant, since, request, await self._final(tenant, request_id, stretch, alone=True))

    async def lineage(self, known: Known) -> Lineage | None:
        """Every record of the request, those of the orders left out: they repeat it."""
        until = None if known.final is None else _ms(known.final.answered_at + _SETTLED_WITHIN)
        lane = lane_partition(self._runtime.lane_of(known.tenant, known.request_id), self._runtime.lanes)
        places = {
            topics.REQUESTS: await self._partition(topics.REQUESTS, known.tenant),
            topics.ROUTED: lane,
            topics.ATTEMPTS: lane,
            topics.COSTS: await self._partition(topics.COSTS, known.tenant),
            topics.RESPONSES: await self._partition(topics.RESPONSES, known.request_id),
            topics.DEAD_LETTERS: 0,
        }
        since = _ms(known.since)
        stretches = [Stretch(topic, partition, since, until_ms=until) for topic, partition in places.items()]
        found = await self._reading.read(stretches, _mentions(known.request_id))
        seen = [self._seen(record) for record in found.records]
        return next(iter(lineages(seen, known.request_id, tenant=known.tenant)), None)

    async def _partition(self, topic: str, key: str) -> int:
        return partition_of(key, await self._runtime.publisher.partitions(topic))

    async def _request(self, tenant: str, request_id: str, made_at: datetime) -> InferenceRequest | None:
        until = _ms(made_at + timedelta(seconds=PUBLISHED_WITHIN_S) + _SKEW)
        stretch = Stretch(topics.REQUESTS, await self._partition(topics.REQUESTS, tenant), _ms(made_at - _SKEW), until_ms=until)
        mentions = _mentions(request_id)

        def keep(record: Record) -> bool:
            asked = _read(self._requests, record.value) if mentions(record) else None
            return asked is not None and asked.request_id == request_id and tenant_of(asked.tenant, record.key) == tenant

        found = await self._reading.read([stretch], keep, most=1)
        return self._requests.decode(found.records[0].value) if found.records else None

    async def _final(self, tenant: str, request_id: str, stretch: Stretch, *, alone: bool) -> InferenceResponse | None:
        """The final response. `alone`: no other tenant has a request of that id, so that the first one found is the only one."""
        key = request_id.encode()

        def keep(record: Record) -> bool:
            response = _read(self._responses, record.value) if record.key == key else None
            return response is not None and response.final and (alone or response.tenant == tenant)

        found = await self._reading.read([stretch], keep, most=1)
        final = self._responses.decode(found.records[0].value) if found.records else None
        return final if final is not None and final.tenant == tenant else None

    def _seen(self, record: Record) -> Seen:
        value = decode(self._runtime.serde, record.value)
        if isinstance(value, RequestRouted):
            value = replace(value, request=b"")  # it repeats the request
        return Seen(record.topic, record.partition, record.offset, clock.from_kafka_ms(record.timestamp), value, record.key)


def shown(known: Known, lineage: Lineage | None) -> dict[str, Any]:
    """What `GET /v1/requests/{id}` tells."""
    if lineage is None:
        status = "queued" if known.final is None else known.final.status.value
        return {"request_id": known.request_id, "status": status, "response": known.final, "cost": None, "lineage": []}
    records = [(kind, each) for kind, seen in lineage.seen.items() for each in seen]
    in_time = sorted(records, key=lambda entry: (entry[1].timestamp, entry[1].topic, entry[1].offset))
    return {
        "request_id": known.request_id,
        "status": status_of(lineage, known.final),
        "response": known.final or lineage.final,
        "cost": _cost(lineage),
        "explanation": page(lineage),
        "lineage": [{"kind": _KINDS[kind], **each.as_json()} for kind, each in in_time],
    }


_KINDS = {
    "requests": "request",
    "decisions": "decision",
    "orders": "order",
    "calls": "call",
    "costs": "cost",
    "responses": "response",
    "dead_letters": "dead_letter",
}


def status_of(lineage: Lineage, final: InferenceResponse | None = None) -> str:
    """How far the request has come: queued, routed, running, or what its final response says."""
    if (final := final or lineage.final) is not None:
        return final.status.value
    if lineage.seen["calls"]:
        return "running"
    return "routed" if lineage.seen["decisions"] else "queued"


def _cost(lineage: Lineage) -> dict[str, Any]:
    """The sum of the cost events: exact, in nano-dollars; what has no price is counted beside it."""
    events = {seen.record.event_id: seen.record for seen in lineage.seen["costs"]}.values()
    return {
        "nanousd": sum(event.cost_nanousd or 0 for event in events),
        "avoided_nanousd": sum(event.avoided_nanousd or 0 for event in events),
        "calls": sum(event.kind is CostKind.CALL for event in events),
        "unpriced_calls": sum(event.kind is CostKind.CALL and event.cost_nanousd is None for event in events),
    }


def _mentions(request_id: str) -> Callable[[Record], bool]:
    needle = request_id.encode(errors="surrogatepass")
    return lambda record: record.value is not None and needle in record.value


def _read(codec: Any, value: bytes | None) -> Any:
    try:
        return codec.decode(value)
    except RecordError:
        return None


def _made_at(request_id: str) -> datetime | None:
    """The time in an id; None for an id without one, or with one that cannot be."""
    made_s = made_at_s(request_id)
    if made_s is None or not 0 < made_s < (clock.now() + _SKEW).timestamp():
        return None
    return clock.from_kafka_ms(int(made_s * 1000))


def _ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)
