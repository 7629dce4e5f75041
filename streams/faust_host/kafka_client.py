"""The aiokafka consumer of a host: its arguments, its assignor, its rebalance listener."""

from collections.abc import Awaitable, Iterable
from typing import Any, Protocol

from aiokafka import AIOKafkaConsumer
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from aiokafka.structs import TopicPartition

NEVER_MS = 2**31 - 1


class Rebalanced(Protocol):
    """What the listener tells about a rebalance."""

    def rebalance_begins(self) -> None: ...
    def on_revoked(self, revoked: Iterable[TopicPartition]) -> Awaitable[None]: ...
    def on_assigned(self, assigned: Iterable[TopicPartition]) -> Awaitable[None]: ...


class Listener(ConsumerRebalanceListener):
    def __init__(self, rebalanced: Rebalanced) -> None:
        self._rebalanced = rebalanced

    def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> Awaitable[None]:
        # Faust must know before anything else runs, so this part is not a coroutine.
        self._rebalanced.rebalance_begins()
        return self._rebalanced.on_revoked(revoked)

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        await self._rebalanced.on_assigned(assigned)


def sticky_assignor() -> type[StickyPartitionAssignor]:
    """A sticky assignor of its own: aiokafka keeps a member's assignment on the class, which two consumers must not share."""
    return type("StickyPartitionAssignor", (StickyPartitionAssignor,), {})


def new_consumer(options: Any, assignor: Any) -> AIOKafkaConsumer:
    """`options` is a HostOptions. Reads committed records only: an order of an aborted transaction must never be called."""
    return AIOKafkaConsumer(
        bootstrap_servers=options.bootstrap_servers,
        client_id=options.client_id,
        group_id=options.group,
        isolation_level="read_committed",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        partition_assignment_strategy=[assignor],
        session_timeout_ms=options.session_timeout_ms,
        heartbeat_interval_ms=options.heartbeat_ms,
        rebalance_timeout_ms=options.rebalance_timeout_ms,
        # Liveness is the heartbeat's, which shares this event loop. A member whose partitions are all paused behind slow
        # provider calls does not poll, and must not be thrown out for it.
        max_poll_interval_ms=NEVER_MS,
        max_partition_fetch_bytes=options.max_partition_fetch_bytes,
        fetch_max_wait_ms=options.fetch_max_wait_ms,
        fetch_min_bytes=options.fetch_min_bytes,
        request_timeout_ms=int(options.request_timeout_s * 1000),
        metadata_max_age_ms=30_000,
        retry_backoff_ms=50,
        **options.security,
    )
