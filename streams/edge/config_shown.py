"""The routing in force as plain values: what decides, where it comes from, and what a change of it reaches."""

from dataclasses import asdict
from typing import Any

import orjson

from schemas.configuration import RoutingConfigured
from schemas.deployments import DeploymentCatalogue
from schemas.policies import Experiment, Policy, Routing, RoutingRule
from streams.settings import Settings

CHANGEABLE = (
    "the policies, rules and default of routing, for requests that intake reads from then on; "
    "what was routed before goes on as it was"
)
NOT_CHANGEABLE = "providers, deployments, prices, tenants' lanes and caches: they stand in the operator's file, read at the start"


def shown(
    routing: Routing, configured: RoutingConfigured | None, catalogue: DeploymentCatalogue, settings: Settings
) -> dict[str, Any]:
    """What `GET /v1/config/routing` tells. `given` is what was put, None while the file's section holds."""
    file = "the built-in catalogue" if settings.deployments_file is None else str(settings.deployments_file)
    return {
        "version": None if configured is None else configured.version,
        "source": file if configured is None else "PUT /v1/config/routing",
        "configured_at": None if configured is None else configured.configured_at,
        "configured_by": None if configured is None else configured.configured_by,
        "given": None if configured is None else orjson.loads(configured.routing_json),
        "catalogue": catalogue.version,
        "environment": settings.environment,
        "default": shown_choice(routing.default),
        "rules": [_rule(rule) for rule in routing.rules],
        "changeable": CHANGEABLE,
        "not_changeable": NOT_CHANGEABLE,
    }


def shown_choice(chosen: Policy | Experiment) -> dict[str, Any]:
    """A policy with its label, or an experiment with its arms; what is empty or as it always is stays out."""
    if isinstance(chosen, Experiment):
        arms = [{"name": arm.name, "weight": arm.weight, "policy": shown_choice(arm.policy)} for arm in chosen.arms]
        return {"experiment": {"salt": chosen.salt, "sticky": chosen.sticky, "arms": arms}}
    plain = asdict(Policy(chosen.label))
    return {"label": chosen.label, **{name: value for name, value in asdict(chosen).items() if value != plain[name]}}


def _rule(rule: RoutingRule) -> dict[str, Any]:
    conditions = {
        "tenant": rule.tenants,
        "task_kind": rule.task_kinds,
        "operation": rule.operations,
        "complexity": rule.complexities,
        "sensitivity": rule.sensitivities,
    }
    return {"if": {name: sorted(words) for name, words in conditions.items() if words}, "policy": shown_choice(rule.chosen)}
