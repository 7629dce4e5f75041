"""What the operator chose about retries, circuits and memory."""

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class DispatchPolicy:
    """`max_attempts` bounds the calls of one request that may reach a provider.

    `retry_indeterminate`: call again after a call that may have been billed. `circuit_failures` in a row mean that a
    deployment is down; it is then probed after `circuit_first_s`, twice as long each time up to `circuit_cap_s`.
    """

    max_attempts: int = 8
    retry_base_s: float = 0.5
    retry_cap_s: float = 30.0
    retry_after_cap_s: float = 120.0
    retry_indeterminate: bool = True
    circuit_failures: int = 5
    circuit_first_s: float = 1.0
    circuit_cap_s: float = 10.0
    dedupe_horizon: timedelta = timedelta(hours=24)
