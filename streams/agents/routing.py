"""Lays out how to route, from what the operator wrote and what can be called from here."""

from collections.abc import Sequence

import structlog

from processors.cost.prices import PriceBook
from processors.route.gains import GainPredictor
from processors.route.plan import Plan, blind_selectors, plan, policies_of
from processors.route.quality import artifact as quality_artifact
from processors.route.quality import default as quality_model
from processors.route.quality.model import predictor
from schemas.deployments import Deployment, DeploymentCatalogue
from schemas.errors import SettingsError
from schemas.policies import Routing, Scorer
from streams.settings import Settings

log = structlog.get_logger(__name__)


def load_plan(
    settings: Settings,
    catalogue: DeploymentCatalogue,
    deployments: Sequence[Deployment],
    prices: PriceBook,
    gains: GainPredictor | None = None,
) -> Plan:
    """How to route to these deployments. Raises SettingsError when a policy needs what is not set.

    Says in the log which selectors name nothing that can be called: a provider's key may be missing, or a letter be wrong.
    """
    for policy, selectors in blind_selectors(catalogue.routing, deployments).items():
        log.warning(
            "routing_selectors_name_nothing",
            policy=policy,
            selectors=selectors,
            next_step="correct them in PENSTOCK_DEPLOYMENTS_FILE, or set the key of the provider that they mean",
        )
    return plan(catalogue.routing, deployments, prices, environment=settings.environment, gains=gains)


def load_gains(settings: Settings, routing: Routing, embedder: str) -> GainPredictor | None:
    """The model of what prompts gain by the dearer deployments: the operator's, else the built-in one; None when no policy asks.

    `embedder` is the name of what makes the vectors of requests. Raises SettingsError for a model that wants other ones.
    """
    if not any(scorer is Scorer.QUALITY for policy in policies_of(routing) for scorer, _ in policy.scorers):
        return None
    path = settings.quality_model_file
    try:
        model = quality_model.shipped() if path is None else quality_artifact.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise SettingsError(
            f"{path or 'the built-in quality model'} cannot be read ({error}); correct PENSTOCK_QUALITY_MODEL_FILE"
        ) from error
    if model.embedder not in {"", embedder}:
        raise SettingsError(
            f"the quality model {model.version} wants vectors of {model.embedder}, not of {embedder}; fit it again"
        )
    return predictor(model)
