"""Outcomes of two made-up models whose strengths are known: the strong one is better where a prompt has numbers."""

import numpy as np

from processors.route.quality.columns import Array
from processors.route.quality.outcomes import Outcome

TOPICS = tuple(f"topic {i}" for i in range(8))
_WORDS = ("river", "stone", "cloud", "garden", "window", "letter", "engine", "market", "number", "season")


def outcomes(count: int, *, seed: int, better_on_numbers: bool = True) -> list[Outcome]:
    """Half of the prompts have numbers. There the strong model is right, the weak one mostly wrong; elsewhere they are alike."""
    draw = np.random.default_rng(seed)
    rows = []
    for i in range(count):
        words = " ".join(draw.choice(_WORDS, 12))
        hard = bool(draw.random() < 0.5)
        text = (
            f"What is {draw.integers(10, 99)} times {draw.integers(10, 99)} of the {words}?" if hard else f"Describe the {words}."
        )
        gains = hard == better_on_numbers
        weak = float(draw.random() < (0.2 if gains else 0.8))
        strong = 1.0 if gains else float(draw.random() < 0.8)
        rows.append(Outcome(f"{i} {text}" if hard else text, TOPICS[i % len(TOPICS)], weak, strong))
    return rows


def no_vectors(rows: list[Outcome]) -> Array:
    return np.zeros((len(rows), 0))
