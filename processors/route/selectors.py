"""Which deployments the operator means."""

import re
from collections.abc import Iterable, Sequence

from schemas.deployments import Deployment


def selected(selectors: Iterable[str], deployments: Sequence[Deployment]) -> tuple[Deployment, ...]:
    """The deployments that a selector names, by their name, model or provider; in the order of the selectors, then of names.

    `*` stands for any characters, none included.
    """
    found: dict[str, Deployment] = {}
    for selector in selectors:
        pattern = _pattern(selector)
        for deployment in sorted(deployments, key=lambda d: d.name):
            if any(map(pattern.fullmatch, (deployment.name, deployment.model, deployment.provider))):
                found.setdefault(deployment.name, deployment)
    return tuple(found.values())


def names(selectors: Iterable[str], deployments: Sequence[Deployment]) -> frozenset[str]:
    """The names of the deployments that a selector names."""
    return frozenset(deployment.name for deployment in selected(selectors, deployments))


def _pattern(selector: str) -> re.Pattern[str]:
    return re.compile(".*".join(re.escape(part) for part in selector.split("*")), re.DOTALL)
