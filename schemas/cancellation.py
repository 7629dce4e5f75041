"""A request that nobody waits for any longer: CancelRequested."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class CancelRequested:
    """The sender of a request does not want its answer. Once it is answered this changes nothing."""

    request_id: str
    tenant: str
    asked_at: datetime
