"""The model that ships: for an operator who has named a weak and a strong deployment and has no outcomes of their own yet."""

from importlib.resources import files

from processors.route.quality.artifact import loads
from processors.route.quality.model import QualityModel


def shipped() -> QualityModel:
    """Fitted on public outcomes of two models (docs/quality-routing.md says which): a start, to be learnt on from one's own."""
    return loads(files(__package__).joinpath("default.npz").read_bytes())
