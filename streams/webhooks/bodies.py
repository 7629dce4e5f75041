"""Where the body of a delivery comes from: memory, if its record came a moment ago; else the log."""

from collections import OrderedDict
from typing import Any

from processors.webhooks.standing import Waiting
from schemas.webhooks import WebhookDelivery
from streams import topics
from streams.edge.lineage_log import LogReading, Stretch
from streams.runtime import Runtime

MOST_CHARS = 8_000_000
MOST_RECORDS = 5_000


class Bodies:
    """Records of one partition. What is not tried soon is dropped from memory, oldest first, and read again when it is."""

    def __init__(self, runtime: Runtime, reading: LogReading, partition: int) -> None:
        self._codec = runtime.serde.of(WebhookDelivery)
        self._reading = reading
        self._partition = partition
        self._held: OrderedDict[int, WebhookDelivery] = OrderedDict()
        self._chars = 0

    def hold(self, record: WebhookDelivery, offset: int) -> None:
        """Keep a record for a while."""
        self._held[offset] = record
        self._chars += len(record.body or "")
        while self._chars > MOST_CHARS or len(self._held) > MOST_RECORDS:
            _, oldest = self._held.popitem(last=False)
            self._chars -= len(oldest.body or "")

    async def of(self, waiting: Waiting) -> WebhookDelivery | None:
        """The record of a delivery; None when the log does not have it any more. Raises Refused while Kafka is away."""
        if (held := self._held.pop(waiting.offset, None)) is not None:
            self._chars -= len(held.body or "")
            return held

        stretch = Stretch(topics.WEBHOOK_DELIVERIES, self._partition, offset=waiting.offset)
        found = await self._reading.read([stretch], lambda _: True, most=1)
        record: Any = found.records[0] if found.records else None
        return self._codec.decode(record.value) if record is not None and record.offset == waiting.offset else None
