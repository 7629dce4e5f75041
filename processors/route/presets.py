"""Policies that are there by name. Each is a few lines of the same keys that an operator writes."""

from collections.abc import Mapping
from typing import Any

from schemas.policies import CHEAPEST_HEALTHY

PRESETS: Mapping[str, Mapping[str, Any]] = {
    CHEAPEST_HEALTHY: {},
    "cheapest": {"scorers": {"price": 1.0}},
    "latency": {"scorers": {"speed": 1.0}},
    "least-busy": {"scorers": {"load": 1.0}},
    "least-used": {"scorers": {"usage": 1.0}},
    "round-robin": {"scorers": {"rotation": 1.0}},
    "composite": {"scorers": {"success": 0.4, "latency": 0.3, "health": 0.3}},
    # A preference is 0 or 1 and weighs more than the whole of what orders those that it treats alike.
    "weighted": {"scorers": {"share": 1.0}},
    "rules": {
        "scorers": {"prefer": 1.0, "usage": 0.5},
        "prefer": [
            {"to": ["anthropic", "*claude*"], "temperature_above": 0.7},
            {"to": ["openai"], "messages_above": 10},
            {"to": ["anthropic", "*claude*"], "first_message_has": ["code", "function", "implement"]},
        ],
    },
    "environment": {
        "scorers": {"environment": 1.0, "price": 0.5},
        "environments": {"development": ["ollama"], "production": ["openai"]},
    },
    "quality-per-cost": {"scorers": {"quality": 1.0, "price": 0.5}},
}
"""A change of a preset raises `PRESET_VERSION`: the label on a decision says which definition made it."""
PRESET_VERSION = "1"
