"""What the dispatchers have logged of their lanes in this repeat."""

import json
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from tests.fault.rig import Rig

FENCED = ("Fenced", "InvalidProducerEpoch", "UnknownProducerId")


def producer_starts(rig: Rig, *, since: float = 0.0) -> Counter[int]:
    """How often the transactional producer of each lane was started."""
    return Counter(line["partition"] for line in _lines(rig, "lane_restored", since))


def failures(rig: Rig, *, since: float = 0.0) -> list[str]:
    """The errors that lanes ended with."""
    return [str(line["error"]) for line in _lines(rig, "lane_failed", since)]


def fenced(rig: Rig, *, since: float = 0.0) -> list[str]:
    """Those of them that say: somebody else writes under this id now, or the transaction was ended for us."""
    return [error for error in failures(rig, since=since) if any(word in error for word in FENCED)]


def ping_pong(starts: Counter[int], most: int) -> str:
    """A problem when a lane's producer was started more often than that."""
    return (
        f"producer starts by lane: {dict(starts)}, {most} a fault are the limit" if max(starts.values(), default=0) > most else ""
    )


def _lines(rig: Rig, event: str, since: float) -> Iterator[dict[str, Any]]:
    for text in rig.log_text("dispatch").splitlines():
        if f'"{event}"' in text:
            line = json.loads(text)
            if line["event"] == event and datetime.fromisoformat(line["timestamp"]).timestamp() >= since:
                yield line
