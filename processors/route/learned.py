"""The fitted quality model as what policies ask."""

from dataclasses import dataclass

from processors.embedding import Vectors
from processors.route.quality.model import Predictor, QualityModel, predict, predictor, threshold_for


@dataclass(frozen=True, slots=True)
class LearnedGains:
    """A GainPredictor."""

    by: Predictor

    @classmethod
    def of(cls, model: QualityModel) -> "LearnedGains":
        return cls(predictor(model))

    @property
    def version(self) -> str:
        return self.by.model.version

    def gain(self, text: str, vector: Vectors | None) -> float:
        return predict(self.by, text, vector)

    def threshold(self, target_quality: float) -> float:
        return threshold_for(self.by.model, target_quality)
