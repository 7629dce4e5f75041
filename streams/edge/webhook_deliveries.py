"""What became of an endpoint's deliveries, from the log: the last ones, and that of a test that has just been asked for."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from processors.webhooks.standing import further
from schemas.errors import RecordError
from schemas.webhooks import DeliveryStatus, WebhookDelivery
from streams import clock, topics
from streams.edge.lineage_log import LogReading, Stretch
from streams.placement import partition_of
from streams.runtime import Runtime

_WINDOWS_S = (3_600.0, 86_400.0, 7 * 86_400.0)
"""How far back is looked, one after the other until enough is found."""
_ASK_EVERY_S = 0.2
_SKEW_S = 5.0


class Deliveries:
    """Reads ai.webhook-deliveries. All of one endpoint stand in one partition, in order."""

    def __init__(self, runtime: Runtime, reading: LogReading) -> None:
        self._runtime = runtime
        self._reading = reading
        self._codec = runtime.serde.of(WebhookDelivery)

    async def last(self, webhook_id: str, most: int) -> list[WebhookDelivery]:
        """The deliveries that something was last written of, each as it stands now, the latest first. Raises Refused."""
        found: OrderedDict[str, WebhookDelivery] = OrderedDict()

        def note(delivery: WebhookDelivery) -> None:
            found[delivery.message_id] = further(found.get(delivery.message_id, delivery), delivery)
            found.move_to_end(delivery.message_id)
            if len(found) > most:
                found.popitem(last=False)

        for window_s in _WINDOWS_S:
            found.clear()
            await self._read(webhook_id, window_s, note)
            if len(found) >= most:
                break
        return list(reversed(found.values()))

    async def outcome(self, delivery: WebhookDelivery, *, within_s: float) -> WebhookDelivery | None:
        """How a delivery ended that was written a moment ago; None when it did not end in time. Raises Refused."""
        ended: list[WebhookDelivery] = []

        def note(seen: WebhookDelivery) -> None:
            if seen.message_id == delivery.message_id and seen.status is not DeliveryStatus.WAITING:
                ended.append(seen)

        begun_s = time.monotonic()
        while not ended and time.monotonic() - begun_s < within_s:
            await asyncio.sleep(_ASK_EVERY_S)
            await self._read(delivery.webhook_id, time.monotonic() - begun_s + _SKEW_S, note)
        return ended[0] if ended else None

    async def _read(self, webhook_id: str, back_s: float, note: Callable[[WebhookDelivery], None]) -> None:
        """Tell `note` of every record of the endpoint since then; none is kept here."""
        key = webhook_id.encode()

        def keep(record: Any) -> bool:
            if record.key == key:
                try:
                    note(self._codec.decode(record.value))
                except RecordError:
                    return False
            return False

        partitions = await self._runtime.publisher.partitions(topics.WEBHOOK_DELIVERIES)
        since_ms = int((clock.now().timestamp() - back_s) * 1000)
        stretch = Stretch(topics.WEBHOOK_DELIVERIES, partition_of(webhook_id, partitions), since_ms=since_ms)
        await self._reading.read([stretch], keep)
