"""Whether a deployment can take a request at all."""

from dataclasses import dataclass
from enum import StrEnum

from processors.classify.decide import Classified, Needs
from processors.cost.dollars import dollars
from processors.cost.rates import TieredRates
from schemas.deployments import Deployment

_INSTEAD = "; ask for a `json_schema`, which it takes"


class Lack(StrEnum):
    """What a deployment lacks for a request. The value is the kind of the error when that alone is in the way."""

    PERMISSION = "provider_not_available"
    POLICY = "excluded_by_policy"
    ENVIRONMENT = "other_environment"
    ABILITY = "unsupported"
    CONTEXT = "context_too_long"
    PRICE = "over_max_cost"


@dataclass(frozen=True, slots=True)
class Exclusion:
    lack: Lack
    why: str


def unfit(request: Classified, deployment: Deployment, input_tokens: int) -> Exclusion | None:
    """Why the deployment cannot take the request, or None. `input_tokens`: what the request's input comes to there, at most."""
    preferences, needs = request.request.preferences, request.needs
    if preferences.provider is not None and deployment.provider != preferences.provider:
        return Exclusion(Lack.PERMISSION, f"the request is pinned to {preferences.provider}")
    if preferences.providers and deployment.provider not in preferences.providers:
        return Exclusion(Lack.PERMISSION, f"{deployment.provider} is not among the providers that the request allows")
    if request.operation not in deployment.operations:
        return Exclusion(Lack.ABILITY, f"does not offer {request.operation.value}")
    if (needs.tools or needs.vision or needs.json_mode or needs.json_schema) and (what := _unable(needs, deployment)) is not None:
        return Exclusion(Lack.ABILITY, f"does not {what}")
    answer = 1 if request.max_output_tokens is None else min(request.max_output_tokens, deployment.max_output_tokens)
    wanted = input_tokens + answer
    if wanted > deployment.context_tokens:
        return Exclusion(
            Lack.CONTEXT, f"its context of {deployment.context_tokens} tokens is less than the {wanted} that the request takes"
        )
    return None


def _unable(needs: Needs, deployment: Deployment) -> str | None:
    for needed, offered, what in (
        (needs.tools, deployment.tools, "take tools"),
        (needs.vision, deployment.vision, "take images"),
        (needs.json_mode, deployment.json_mode, f"have a JSON mode (`json_object`){_INSTEAD if deployment.json_schema else ''}"),
        (needs.json_schema, deployment.json_schema, "answer in a given JSON schema (`json_schema`)"),
    ):
        if needed and not offered:
            return what
    return None


def elsewhere(deployment: Deployment, environment: str | None) -> Exclusion | None:
    """Why the deployment may not be called in this environment, or None."""
    if not deployment.environments or environment in deployment.environments:
        return None
    told = "PENSTOCK_ENVIRONMENT is not set" if environment is None else f"this is {environment}"
    return Exclusion(Lack.ENVIRONMENT, f"is for {' and '.join(sorted(deployment.environments))} alone, and {told}")


def output_bound(request: Classified, deployment: Deployment, input_tokens: int) -> int:
    """Most output tokens that one call can return."""
    output = deployment.max_output_tokens if request.max_output_tokens is None else request.max_output_tokens
    return min(output, deployment.max_output_tokens, deployment.context_tokens - input_tokens)


def too_dear(
    request: Classified, deployment: Deployment, rates: TieredRates | None, allowed: int | None, input_tokens: int
) -> Exclusion | None:
    """Why the most that a call can cost is not allowed, or None. `allowed` None allows all, `rates` None: no price is known."""
    if allowed is None:
        return None
    output_tokens = output_bound(request, deployment, input_tokens)
    bound = None if rates is None else rates.bound_nanousd(input_tokens, output_tokens)
    if bound is None:
        return Exclusion(Lack.PRICE, "has no known price, and the cost of a call is bounded")
    if bound > allowed:
        return Exclusion(Lack.PRICE, f"can cost {dollars(bound)}, and {dollars(allowed)} is allowed")
    return None
