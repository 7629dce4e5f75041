"""Faust's producer, which tells when a record did not arrive.

Stock Faust logs a failed send and commits the input all the same, for few agents await the future of `topic.send`. Here the
consumer looks at `failure` before every commit, and ends the process instead, so that the input comes again.
"""

import asyncio
from collections.abc import Awaitable, Mapping
from typing import Any

from aiokafka.errors import KafkaError
from faust.exceptions import ProducerSendError
from faust.transport.drivers.aiokafka import Producer as FaustProducer
from faust.types import RecordMetadata

from streams.faust_host.options import MAX_REQUEST_BYTES, HostOptions


class Producer(FaustProducer):
    """For tables and for agents that use `topic.send`. Our own agents publish through `streams.publisher`."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.options: HostOptions = self.app.options
        self.failure: BaseException | None = None
        """Why a record that was sent since the start did not arrive."""

    def _settings_default(self) -> Mapping[str, Any]:
        return {
            "bootstrap_servers": self.options.bootstrap_servers,
            "client_id": self.options.client_id,
            "acks": "all",
            "enable_idempotence": True,
            "max_request_size": MAX_REQUEST_BYTES,
            "request_timeout_ms": int(self.options.request_timeout_s * 1000),
            "retry_backoff_ms": 20,
            "partitioner": self.partitioner,
        }

    def _settings_auth(self) -> Mapping[str, Any]:
        return self.options.security

    async def send(self, *args: Any, **kwargs: Any) -> Awaitable[RecordMetadata]:
        """As Faust's; the send is watched even when its future is thrown away."""
        try:
            sent: Awaitable[RecordMetadata] = await super().send(*args, **kwargs)
        except (KafkaError, ProducerSendError) as error:
            self.failure = error
            raise
        if isinstance(sent, asyncio.Future):
            sent.add_done_callback(self._watch)
        return sent

    def _watch(self, sent: "asyncio.Future[RecordMetadata]") -> None:
        if not sent.cancelled() and (error := sent.exception()) is not None:
            self.failure = error
