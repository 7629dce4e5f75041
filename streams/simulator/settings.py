"""What the operator sets of a simulator."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from streams.simulator.profiles import Profiles

MAX_REQUEST_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class SimulatorSettings:
    """`port` 0 takes a free one. `provider_ports` gives providers ports of their own, so that they can be refused alone.

    `fsync` False leaves the call log to the operating system: it still survives the death of the process, but not a power cut.
    """

    host: str = "127.0.0.1"
    port: int = 0
    provider_ports: Mapping[str, int] = field(default_factory=dict)
    call_log: Path | None = None
    fsync: bool = True
    profiles: Profiles = field(default_factory=Profiles)
    max_request_bytes: int = MAX_REQUEST_BYTES
