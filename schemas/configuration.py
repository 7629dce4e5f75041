"""What is configured while everything runs: RoutingConfigured."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class RoutingConfigured:
    """How requests are routed from here on: `routing_json` takes the place of the section `routing` of the operator's file.

    Without a record, or after a tombstone, the file's section holds. `version` is unlike any other.
    """

    version: str
    routing_json: str
    configured_at: datetime
    configured_by: str
