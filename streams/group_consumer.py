"""The consumer of a role that shares out partitions among its processes and commits by itself what it has done."""

from typing import Any

from aiokafka import AIOKafkaConsumer

from streams.runtime import Runtime
from streams.settings import Settings

_HEARTBEAT_MS = 1_000
"""At most, however long the session is: a member hears of a rebalance by its next heartbeat, and all others wait for it."""


def heartbeat_ms(settings: Settings) -> int:
    """How often a member tells the group that it lives: at least four times in a session."""
    return min(settings.session_timeout_ms // 4, _HEARTBEAT_MS)


def group_consumer(runtime: Runtime, group: str, *, client_id: str, **options: Any) -> AIOKafkaConsumer:
    """A member of the group, not yet started: committed records only, from the oldest where the group has committed nothing.

    `group` follows the app's name. `options` are aiokafka's further ones.
    """
    settings = runtime.settings
    return AIOKafkaConsumer(
        bootstrap_servers=runtime.bootstrap_servers,
        client_id=client_id,
        group_id=settings.group(group),
        enable_auto_commit=False,
        isolation_level="read_committed",
        auto_offset_reset="earliest",
        session_timeout_ms=settings.session_timeout_ms,
        heartbeat_interval_ms=heartbeat_ms(settings),
        max_poll_interval_ms=300_000,
        **options,
        **settings.kafka_security(),
    )
