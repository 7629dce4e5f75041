"""How far consumer groups are behind, as whoever watches is told."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

P = TypeVar("P")
_ROLES = "intake|dispatch|tables|health|cache-fill|batches|webhooks|calls-.+"


def ours(groups: Iterable[str], app: str) -> list[str]:
    """The groups of our roles.

    >>> ours(["penstock-intake", "penstock-calls-openai", "penstock-eu-intake", "billing"], "penstock")
    ['penstock-calls-openai', 'penstock-intake']
    """
    named = re.compile(rf"{re.escape(app)}-({_ROLES})$")
    return sorted(group for group in groups if named.match(group))


def rows(
    committed: Mapping[str, Mapping[P, int]], ends: Mapping[P, int], begins: Mapping[P, int], topic_of: Mapping[P, str]
) -> list[dict[str, Any]]:
    """One for each group and topic; where nothing is committed a group has all before it.

    Offsets count transaction markers too, so that one a partition is as good as none.
    """
    told = []
    for group, offsets in committed.items():
        behind: dict[str, int] = dict.fromkeys(sorted({topic_of[place] for place in offsets}), 0)
        for place, end in ends.items():
            if (topic := topic_of[place]) in behind:
                left = end - offsets.get(place, begins[place])
                behind[topic] += left if left > 1 else 0
        told += [{"group": group, "topic": topic, "records": records} for topic, records in behind.items()]
    return told
