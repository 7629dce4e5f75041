"""What a decision says: changes of state, records to publish, timers to set."""

from dataclasses import dataclass, field
from datetime import datetime

from processors.dispatch.events import CallDue, RequestDue
from processors.dispatch.state import Change
from schemas.calls import CallOrdered
from schemas.ledger import CostEvent, CostTotal
from schemas.outcomes import InferenceResponse

Emission = CallOrdered | InferenceResponse | CostEvent


@dataclass(frozen=True, slots=True)
class Timer:
    """`event` is due at `due`. A timer is a wake-up, not a promise: what it finds decides."""

    due: datetime
    event: RequestDue | CallDue


@dataclass(slots=True)
class Decision:
    """Cost totals are not among the records: they are published from the `PutTotal` changes, the last of each key."""

    changes: list[Change] = field(default_factory=list)
    records: list[Emission] = field(default_factory=list)
    timers: list[Timer] = field(default_factory=list)
    totals: dict[str, CostTotal] = field(default_factory=dict)
    """The totals among the changes, by key: several records of one decision may count in the same."""
