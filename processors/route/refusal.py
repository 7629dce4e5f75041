"""What a sender hears when no deployment can take its request."""

from collections.abc import Mapping
from dataclasses import dataclass

from processors.classify.decide import Classified
from processors.route.catalogue import AUTO
from processors.route.fit import Exclusion, Lack
from schemas.deployments import Deployment
from schemas.routing import Scored


@dataclass(frozen=True, slots=True)
class Unroutable:
    """No deployment can take the request. `excluded` says of each deployment why; `retryable`: it may be one later."""

    kind: str
    message: str
    excluded: Mapping[str, Exclusion]
    retryable: bool = False

    @property
    def scores(self) -> tuple[Scored, ...]:
        return tuple(excluded_score(name, exclusion) for name, exclusion in self.excluded.items())


def unroutable(
    request: Classified, every: tuple[Deployment, ...], named: tuple[Deployment, ...], excluded: Mapping[str, Exclusion]
) -> Unroutable:
    model = request.request.model
    if not every:
        message = "no deployment can be called; the operator sets a provider's key, or starts the simulator"
        return Unroutable("unroutable", message, excluded, retryable=True)
    if not named:
        known = sorted(d.name for d in every)
        more = f" and {len(known) - 10} more" if len(known) > 10 else ""
        return Unroutable(
            "unknown_model",
            f"no deployment has the name or the model {model!r}; ask for `{AUTO}`, or one of {', '.join(known[:10])}{more}",
            excluded,
        )
    # What the sender itself ruled out is told only when nothing else stood in the way.
    telling = {name: e for name, e in excluded.items() if e.lack is not Lack.PERMISSION} or excluded
    lacks = {exclusion.lack for exclusion in telling.values()}
    kind = lacks.pop().value if len(lacks) == 1 else "unroutable"
    reasons = "; ".join(f"{name}: {exclusion.why}" for name, exclusion in sorted(telling.items())[:10])
    return Unroutable(kind, f"no deployment can take this request: {reasons}", excluded)


def excluded_score(name: str, exclusion: Exclusion) -> Scored:
    return Scored(name, lack=exclusion.lack.value, why=exclusion.why)
