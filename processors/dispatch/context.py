"""What a decision is made of."""

from dataclasses import dataclass
from datetime import datetime

from processors.cost.prices import PriceBook
from processors.dispatch.decision import Decision
from processors.dispatch.policy import DispatchPolicy
from processors.dispatch.state import LaneState


@dataclass(frozen=True, slots=True)
class Context:
    """What a transition may read, and the decision that it writes."""

    state: LaneState
    decision: Decision
    policy: DispatchPolicy
    prices: PriceBook
    now: datetime
