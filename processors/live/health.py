"""How the deployments are, as whoever watches is told."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from processors.health.fold import UNKNOWN, DeploymentHealth
from schemas.deployments import Deployment


def rows(
    deployments: Iterable[Deployment], known: Mapping[str, DeploymentHealth], now: datetime, *, loads: bool
) -> list[dict[str, Any]]:
    """One for each deployment of the catalogue. Without `loads` nothing is told of how busy the other tenants keep it."""
    return [_row(each, known.get(each.name, UNKNOWN), now, loads=loads) for each in deployments]


def _row(deployment: Deployment, health: DeploymentHealth, now: datetime, *, loads: bool) -> dict[str, Any]:
    p50_ms, p95_ms = health.recent.quantile_ms(0.5, 0.95)
    return {
        "deployment": deployment.name,
        "provider": deployment.provider,
        "model": deployment.model,
        "circuit": health.circuit(now).value,
        "opened_by": health.opened_by,
        "down_since": health.down_since,
        "limited": health.limited(now),
        "success_rate": _rounded(health.recent.success_rate, 4),
        "p50_ms": _rounded(p50_ms, 1),
        "p95_ms": _rounded(p95_ms, 1),
        "in_flight": health.busy(now) if loads and health.traffic_at is not None else None,
        "headroom": _rounded(health.headroom(now), 2) if loads else None,
    }


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)
