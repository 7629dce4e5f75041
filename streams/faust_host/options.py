"""What a host is told, in one place."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

MAX_REQUEST_BYTES = 2_200_000
"""Largest produce request of Faust's own producer; as large as our topics accept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostOptions:
    """How one app talks to Kafka. `group` is the app id, the consumer group and the prefix of nothing else."""

    group: str
    client_id: str
    bootstrap_servers: str
    security: Mapping[str, Any] = field(default_factory=dict)
    """Security arguments of an aiokafka client, as `Settings.kafka_security()` gives them."""

    commit_interval_s: float = 1.0
    """At most this much work is repeated after a kill -9."""
    session_timeout_ms: int = 10_000
    revoke_grace_s: float = 2.0
    """How long a rebalance waits for events in work. Longer calls go on, and are repeated only if their partition moved."""
    drain_timeout_s: float = 25.0
    """How long a stop waits for events in work."""

    buffer_records: int = 2_560
    """Records that wait in memory for an agent, at most. At 80 % the partition is paused, below 40 % it goes on."""
    max_poll_records: int = 500
    """At most a fifth of `buffer_records`, so that one poll always fits above the 80 % mark."""
    max_partition_fetch_bytes: int = 512 * 1024
    fetch_max_wait_ms: int = 500
    """Bounds how long a resumed partition waits for the long poll of the others; data that arrives ends a poll at once."""
    fetch_min_bytes: int = 1
    """With more, a fetch waits for as many, or for `fetch_max_wait_ms`: fewer fetches for an agent that nobody waits for."""
    request_timeout_s: float = 40.0
    table_deadline_s: float = 60.0
    """A table that has not recovered by then is wiped and read again from the start."""

    def __post_init__(self) -> None:
        if self.max_poll_records * 5 > self.buffer_records:
            raise ValueError(
                f"max_poll_records={self.max_poll_records} must be at most a fifth of buffer_records={self.buffer_records}"
            )

    @property
    def heartbeat_ms(self) -> int:
        """A rebalance takes as long as the last member needs to hear of it, so at most a second."""
        return min(1_000, self.session_timeout_ms // 3)

    @property
    def rebalance_timeout_ms(self) -> int:
        """How long the group waits for a member to rejoin: its grace, and time to notice."""
        return self.session_timeout_ms + int(self.revoke_grace_s * 1000)
