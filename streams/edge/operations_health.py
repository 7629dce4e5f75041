"""What is told of a deployment's health, and of a provider's."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from processors.health.fold import UNKNOWN, Circuit, DeploymentHealth
from schemas.deployments import Deployment

UNHEARD = "unheard"
_WORST_FIRST = (Circuit.OPEN.value, Circuit.HALF_OPEN.value, UNHEARD, Circuit.CLOSED.value)


def told(health: DeploymentHealth, now: datetime, *, whole: bool) -> dict[str, Any]:
    """One deployment's health as plain values; None where nobody told. `whole`: also how much all tenants together ask of it."""
    p50_ms, p95_ms, p99_ms = health.recent.quantile_ms(0.5, 0.95, 0.99)
    return {
        "circuit": health.circuit(now).value,
        "opened_by": health.opened_by,
        "down_since": health.down_since,
        "limited": health.limited(now),
        "success_rate": health.recent.success_rate,
        "p50_ms": p50_ms,
        "p95_ms": p95_ms,
        "p99_ms": p99_ms,
        "in_flight": health.busy(now) if whole else None,
        "headroom": health.headroom(now) if whole else None,
        "traffic_at": health.traffic_at,
        "probed_at": health.probed_at,
    }


def provider_told(
    deployments: Iterable[Deployment], known: Mapping[str, DeploymentHealth], now: datetime, *, whole: bool
) -> dict[str, Any]:
    """The health of a provider's deployments, and `status`, that of the best: one that answers is enough to be called."""
    rows = [
        {
            "deployment": each.name,
            "model": each.model,
            "heard": each.name in known,
            **told(known.get(each.name, UNKNOWN), now, whole=whole),
        }
        for each in deployments
    ]
    states = [row["circuit"] if row["heard"] else UNHEARD for row in rows]
    return {"status": max(states, key=_WORST_FIRST.index, default=UNHEARD), "deployments": rows}
