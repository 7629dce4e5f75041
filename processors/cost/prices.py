"""The price book: what usage costs, at the call's time. The user's own price wins over the built-in list."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from processors.cost.price_list import PriceList
from processors.cost.rates import TieredRates, from_price
from schemas.calls import Usage
from schemas.deployments import DeploymentCatalogue, Price
from schemas.ledger import PricingStatus


@dataclass(frozen=True, slots=True)
class Priced:
    """A cost in 1e-9 US dollars, None when no price is known, and the price list that was asked, with its version."""

    cost_nanousd: int | None
    status: PricingStatus
    price_version: str


class PriceBook:
    """Prices by deployment, then by provider and model, then by the built-in list.

    Immutable but for what it remembers of the built-in list.
    """

    def __init__(
        self,
        overrides: Mapping[str, Price] | None = None,
        *,
        version: str = "catalogue",
        by_model: Mapping[tuple[str, str], Price] | None = None,
        by_model_version: str = "prices",
    ) -> None:
        """`overrides` are by deployment name, `by_model` by (provider, model); each with the version its events carry."""
        self._list = PriceList()
        self._own: Mapping[str, tuple[TieredRates, str]] = {
            name: (from_price(price), version) for name, price in (overrides or {}).items()
        }
        self._by_model: Mapping[tuple[str, str], tuple[TieredRates, str]] = {
            name: (from_price(price), by_model_version) for name, price in (by_model or {}).items()
        }

    @classmethod
    def of(
        cls,
        catalogue: DeploymentCatalogue,
        by_model: Mapping[tuple[str, str], Price] | None = None,
        by_model_version: str = "prices",
    ) -> "PriceBook":
        """The book of a catalogue: its deployments' own prices, then the user's price file, then the built-in list."""
        overrides = {d.name: d.price for d in catalogue.deployments if d.price is not None}
        return cls(overrides, version=f"catalogue {catalogue.version}", by_model=by_model, by_model_version=by_model_version)

    def price(self, usage: Usage, *, provider: str, model: str, deployment: str, at: datetime) -> Priced:
        """What the usage costs, priced as of `at`.

        The sum is exact and rounded once, half to even. A model without a known price, or tokens of a kind that it has
        no price for, give UNKNOWN and None, never 0.
        """
        rates, version = self._versioned(provider, model, deployment, at)
        cost = None if rates is None else rates.cost_nanousd(usage)
        return Priced(cost, PricingStatus.UNKNOWN if cost is None else PricingStatus.PRICED, version)

    def upper_bound(
        self, input_tokens: int, output_tokens: int, *, provider: str, model: str, deployment: str, at: datetime
    ) -> int | None:
        """The most that a call of so many tokens can cost, in 1e-9 US dollars, rounded up; None when no price is known.

        All input counts at the dearer of the plain and the cache-write price, all output at the dearer of plain and reasoning.
        """
        rates = self.rates(provider=provider, model=model, deployment=deployment, at=at)
        return None if rates is None else rates.bound_nanousd(input_tokens, output_tokens)

    def rates(self, *, provider: str, model: str, deployment: str, at: datetime) -> TieredRates | None:
        """The rates that hold at that time, for who asks several questions about them; None when no price is known."""
        return self._versioned(provider, model, deployment, at)[0]

    def _versioned(self, provider: str, model: str, deployment: str, at: datetime) -> tuple[TieredRates | None, str]:
        own = self._own.get(deployment) or self._by_model.get((provider, model))
        if own is not None:
            return own
        return self._list.rates(provider, model, at), self._list.version
