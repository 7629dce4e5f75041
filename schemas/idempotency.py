"""Which request an Idempotency-Key stands for: IdempotencyClaim."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class IdempotencyClaim:
    """A process of the edge claims a tenant's Idempotency-Key for one request.

    The first claim of a key in the log holds until `expires_at`, whatever comes after it. `body_digest` tells whether a request
    that comes with the key again asks the same.
    """

    request_id: str
    tenant: str
    body_digest: bytes
    made_at: datetime
    expires_at: datetime
