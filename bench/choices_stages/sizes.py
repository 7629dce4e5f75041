"""How much of everything."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sizes:
    """The full run. `failovers`: how many there must be; `repeats` and `first_asked` are for each number in flight.

    Without `whole_minutes` the limits a minute are only looked at, not filled.
    """

    warm_up: int = 300
    failover: int = 2_600
    failovers: int = 500
    resilience: int = 3_200
    first_asked: int = 120
    repeats: int = 400
    hit_rate: int = 3_000
    look_up_rounds: int = 15
    whole_minutes: bool = True


QUICK = Sizes(
    warm_up=60,
    failover=200,
    failovers=30,
    resilience=400,
    first_asked=24,
    repeats=60,
    hit_rate=400,
    look_up_rounds=5,
    whole_minutes=False,
)
"""A look whether it works: its windows of a minute are never full."""
