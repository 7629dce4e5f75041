"""The price book of this process. Who computes no cost does not load it: the built-in list takes a tenth of a second."""

from processors.cost.prices import PriceBook
from processors.route.catalogue import parse_prices
from schemas.deployments import DeploymentCatalogue
from streams.operator_file import parsed, text_of
from streams.settings import Settings


def load_prices(settings: Settings, catalogue: DeploymentCatalogue) -> PriceBook:
    """The price book: the catalogue's own prices, the operator's price file, the built-in list. Raises SettingsError.

    It needs the whole catalogue, whoever holds the keys: a price must not depend on the process that asks for it.
    """
    if settings.prices_file is None:
        return PriceBook.of(catalogue)
    source = str(settings.prices_file)
    prices, version = parse_prices(parsed(text_of(settings.prices_file, "PENSTOCK_PRICES_FILE"), source), source=source)
    return PriceBook.of(catalogue, prices, version)
