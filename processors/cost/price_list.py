"""The built-in price list: genai-prices, bundled and offline. The only user of that library.

genai-prices resolves a model by patterns and evaluates conditions (a start date, an interval of the day) at the call's
time, which takes some 55 µs. Here a model is resolved once, each of its prices is compiled to integers once, and which of them
holds is remembered by the minute: its conditions begin and end on whole minutes, and those that do not are not remembered.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from importlib.metadata import version
from typing import Any

from genai_prices import data_snapshot
from genai_prices.types import ModelPrice, TieredPrices, TimeOfDateConstraint

from processors.cost.rates import Rates, TieredRates, compile_rates

_UNITS = {
    "input": "input_mtok",
    "output": "output_mtok",
    "cache_read": "cache_read_mtok",
    "cache_write": "cache_write_mtok",
    "reasoning": "output_reasoning_mtok",
}
_MAX_MINUTES = 10_000


class PriceList:
    """Prices by provider, model and time. `version` names the list."""

    def __init__(self) -> None:
        self.version = f"genai-prices {version('genai-prices')}"
        self._snapshot = data_snapshot.get_snapshot()
        self._ids = {provider.id for provider in self._snapshot.providers}
        self._models: dict[tuple[str, str], Callable[[datetime], TieredRates] | None] = {}

    def rates(self, provider: str, model: str, at: datetime) -> TieredRates | None:
        """The model's rates at that time, or None when the list does not know the model at that provider.

        A provider is known by its exact id alone: the library's own matching would price a self-hosted
        `my-openai-proxy` as OpenAI.
        """
        try:
            resolve = self._models[provider, model]
        except KeyError:
            resolve = self._models[provider, model] = self._find(provider, model)
        return None if resolve is None else resolve(at)

    def _find(self, provider: str, model: str) -> Callable[[datetime], TieredRates] | None:
        if provider not in self._ids:
            return None
        try:
            _, info = self._snapshot.find_provider_model(model, None, provider, None)
        except LookupError:
            return None
        if isinstance(info.prices, ModelPrice):
            fixed = _compile(info.prices)
            return lambda _at: fixed
        return _Conditional(info)


class _Conditional:
    """A model whose price depends on the time."""

    def __init__(self, info: Any) -> None:
        self._info = info
        self._compiled = {id(condition.prices): _compile(condition.prices) for condition in info.prices}
        self._by_minute: dict[int, TieredRates] = {}
        self._whole_minutes = all(_on_whole_minutes(condition.constraint) for condition in info.prices)

    def __call__(self, at: datetime) -> TieredRates:
        minute = int(at.timestamp()) // 60
        if (known := self._by_minute.get(minute)) is not None:
            return known
        rates = self._compiled[id(self._info.get_prices(at.astimezone(UTC)))]
        if self._whole_minutes:
            if len(self._by_minute) >= _MAX_MINUTES:
                self._by_minute.clear()
            self._by_minute[minute] = rates
        return rates


def _on_whole_minutes(constraint: Any) -> bool:
    if not isinstance(constraint, TimeOfDateConstraint):
        return True
    return all(bound.second == 0 and bound.microsecond == 0 for bound in (constraint.start_time, constraint.end_time))


def _compile(prices: Any) -> TieredRates:
    stored = {side: prices.__dict__.get(key) for side, key in _UNITS.items()}
    starts = sorted({tier.start for price in stored.values() if isinstance(price, TieredPrices) for tier in price.tiers})
    request = (prices.__dict__.get("requests_kcount") or Decimal(0)) / 1000
    return TieredRates(tuple(starts), tuple(_row(stored, request, starts[:i]) for i in range(len(starts) + 1)))


def _row(stored: dict[str, Any], request: Decimal, passed: Sequence[int]) -> Rates:
    """The rates of a call whose input exceeds just the starts in `passed`."""
    highest = passed[-1] if passed else -1
    return compile_rates(request=request, **{side: _price_above(price, highest) for side, price in stored.items()})


def _price_above(price: Any, highest: int) -> Decimal | None:
    if not isinstance(price, TieredPrices):
        return price  # type: ignore[no-any-return]  # Decimal or None: the library validates it
    applicable = price.base
    for tier in price.tiers:
        if tier.start <= highest:
            applicable = tier.price
    return applicable  # type: ignore[no-any-return]  # Decimal: the library validates it
