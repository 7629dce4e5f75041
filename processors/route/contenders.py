"""The deployments that can take a request, and what else a policy may look at."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from processors.classify.calibration import Factors
from processors.classify.decide import Classified
from processors.cost.rates import TieredRates
from processors.health.fold import Circuit, DeploymentHealth
from schemas.deployments import Deployment

EXPECTED_OUTPUT_TOKENS = 400
"""For comparing prices alone, where the request bounds nothing: an answer of ordinary length, the same for all deployments."""


class Contender(NamedTuple):
    """A deployment that can take the request. `ailing`: 0 is well; `place`: where its provider stands in the sender's list.

    `cost_nanousd` is what the request would cost here if every deployment answered alike; None: no price is known.
    `input_tokens` is what its input comes to here, at most.
    """

    deployment: Deployment
    health: DeploymentHealth
    rates: TieredRates | None
    cost_nanousd: int | None
    ailing: int
    place: int
    input_tokens: int


@dataclass(frozen=True, slots=True)
class View:
    """What routing knows of the deployments. `ordered`: how many requests were given to each since their health was last heard.

    `factors`: by which the estimate of the input is multiplied for a model whose calls were seen to take more.
    Health lags behind by the length of a call; without `ordered`, all that arrives meanwhile would go to the one least busy.
    """

    health: Mapping[str, DeploymentHealth]
    ordered: Mapping[str, int] = field(default_factory=dict)
    factors: Factors = field(default_factory=dict)


def contender(
    request: Classified,
    deployment: Deployment,
    health: DeploymentHealth,
    rates: TieredRates | None,
    *,
    input_tokens: int,
    now: datetime,
) -> Contender:
    expected = EXPECTED_OUTPUT_TOKENS if request.max_output_tokens is None else request.max_output_tokens
    cost = None if rates is None else rates.bound_nanousd(input_tokens, expected)
    providers = request.request.preferences.providers
    place = providers.index(deployment.provider) if providers else 0
    return Contender(deployment, health, rates, cost, ailing(health, now), place, input_tokens)


def ailing(health: DeploymentHealth, now: datetime) -> int:
    """0: well; 1: its provider asked to be left alone; 2: half open; 3: open."""
    if health.opened_at is not None:
        return 3 if health.circuit(now) is Circuit.OPEN else 2
    return 0 if health.limited_until is None else int(health.limited(now))
