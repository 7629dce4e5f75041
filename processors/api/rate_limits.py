"""What the operator allows of a deployment, as the headers in which clients look for it.

How much of it is left is for the dispatcher to know; no header pretends to.
"""

from schemas.deployments import Deployment


def openai_limits(deployment: Deployment | None) -> dict[str, str]:
    """`x-ratelimit-limit-*`; empty for a deployment without limits."""
    return _told(deployment, "x-ratelimit-limit-requests", "x-ratelimit-limit-tokens")


def anthropic_limits(deployment: Deployment | None) -> dict[str, str]:
    """`anthropic-ratelimit-*-limit`; empty for a deployment without limits."""
    return _told(deployment, "anthropic-ratelimit-requests-limit", "anthropic-ratelimit-tokens-limit")


def _told(deployment: Deployment | None, requests: str, tokens: str) -> dict[str, str]:
    if deployment is None:
        return {}
    limits = {requests: deployment.requests_per_minute, tokens: deployment.tokens_per_minute}
    return {name: str(limit) for name, limit in limits.items() if limit is not None}
