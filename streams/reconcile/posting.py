"""Asks the dispatcher for adjustments: it alone writes the ledger and the totals, and does so in one transaction."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import islice

from schemas.calls import CallPhase, CallReported
from streams import topics
from streams.reconcile.index import Index
from streams.reconcile.judging import Differs
from streams.runtime import Runtime

WORKER = "reconcile"
_BATCH = 500


def report(differs: Differs, *, as_of: datetime) -> CallReported:
    """What the dispatcher is told. `as_of` is not after the reading of the ledger that it was made from."""
    booked = differs.booked
    return CallReported(
        call_id=booked.call_id,
        phase=CallPhase.RECONCILED,
        request_id=booked.request_id,
        attempt=booked.attempt,
        tenant=booked.tenant,
        lane=booked.lane,
        deployment=booked.deployment,
        provider=booked.provider,
        model=booked.model,
        worker=WORKER,
        reported_at=as_of,
        started_at=booked.started_at,
        usage=differs.usage,
        charged=booked.charged,
    )


async def post(found: Iterable[Differs], runtime: Runtime, index: Index, *, as_of: datetime) -> int:
    """Publish a report for each, placed by lane; returns how many the broker has. The index remembers them."""
    count = 0
    for batch in _batches(found):
        index.ask(differs.booked for differs in batch)
        await runtime.publisher.send_all(
            runtime.to_lane(topics.ATTEMPTS, differs.booked.lane, runtime.serde.encode(report(differs, as_of=as_of)))
            for differs in batch
        )
        count += len(batch)
    return count


def _batches(found: Iterable[Differs]) -> Iterator[list[Differs]]:
    rest = iter(found)
    while batch := list(islice(rest, _BATCH)):
        yield batch
