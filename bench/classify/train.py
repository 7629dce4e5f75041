"""Trains the head from the corpus and writes its weights: python -m bench.classify.train"""

import argparse
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from bench.classify.corpus import Example, examples
from bench.classify.softmax import Matrix, fit, softmax
from processors.classify.head import CONTINUES, FILE, KINDS, scale_of, version_of
from processors.classify.kinds import TaskKind
from processors.classify.signs import SHAPE, shape, signs_of, words_of
from processors.embedding import Embedder
from streams.embedding.wordllama import WordLlama

VECTOR_UNIT = 8.0
SIGN_UNIT = 6.6
PENALTY = 4e-3
MAX_SIGNS = 3_000
MIN_GROUPS = 3
KIND_WEIGHT = 100.0
FOLDS = 5
THRESHOLD = 0.3
Arrays = Mapping[str, NDArray[np.generic]]


def train(embedder: Embedder, corpus: Sequence[Example], *, temperature: float | None = None) -> dict[str, NDArray[np.generic]]:
    """The arrays of the weights file, without the version. A given temperature saves finding it, which takes most of the time."""
    known = known_signs(corpus)
    inputs = inputs_of(corpus, embedder, known)
    targets, weights = targets_of(corpus), weights_of(corpus)
    if temperature is None:
        temperature = temperature_of(*held_out(corpus, inputs, targets, weights))
    fitted = fit(inputs, targets, weights, penalty_of(inputs))
    by_vector, by_shape, by_sign, bias = np.split(fitted, np.cumsum([embedder.dimensions, len(SHAPE), len(known)]))
    by_sign = by_sign * np.float32(SIGN_UNIT)
    unit = np.abs(by_sign).max() / 127
    return {
        "kinds": np.array("\n".join(KINDS)),
        "shape": np.array("\n".join(SHAPE)),
        "embedder": np.array(embedder.name),
        "signs": np.frombuffer("\n".join(known).encode(), dtype=np.uint8),
        "by_vector": (by_vector.T * np.float32(VECTOR_UNIT)).astype(np.float16),
        "by_shape": by_shape.T.astype(np.float16),
        "by_sign": np.round(by_sign / unit).astype(np.int8),
        "by_sign_unit": np.array(unit, dtype=np.float32),
        "bias": bias[0].astype(np.float32),
        "temperature": np.array(temperature, dtype=np.float32),
        "threshold": np.array(THRESHOLD, dtype=np.float32),
    }


def known_signs(corpus: Sequence[Example]) -> list[str]:
    """The signs that enough groups of examples share, so that the filling of one template is no sign; sorted."""
    groups: dict[str, set[str]] = {}
    for example in corpus:
        for sign in signs_of(words_of(example.text)):
            groups.setdefault(sign, set()).add(example.group)
    counts = Counter({sign: len(found) for sign, found in groups.items() if len(found) >= MIN_GROUPS})
    return sorted(sorted(counts, key=lambda sign: (-counts[sign], sign))[:MAX_SIGNS])


def inputs_of(corpus: Sequence[Example], embedder: Embedder, known: Sequence[str]) -> Matrix:
    """A row for each example: vector, shape, signs, and a 1 for the bias."""
    places = {sign: place for place, sign in enumerate(known)}
    signs = np.zeros((len(corpus), len(known)), dtype=np.float32)
    for row, example in zip(signs, corpus, strict=True):
        found = [places[sign] for sign in signs_of(words_of(example.text)) if sign in places]
        row[found] = SIGN_UNIT * scale_of(len(found))
    vectors = embedder.embed([example.text for example in corpus]) * np.float32(VECTOR_UNIT)
    shapes = np.array([shape(example.text, words_of(example.text)) for example in corpus], dtype=np.float32)
    return np.hstack([vectors, shapes, signs, np.ones((len(corpus), 1), dtype=np.float32)])


def targets_of(corpus: Sequence[Example]) -> Matrix:
    targets = np.zeros((len(corpus), len(KINDS) + 1), dtype=np.float32)
    for row, example in zip(targets, corpus, strict=True):
        row[CONTINUES] = example.continues
        if example.kind is not None:
            row[KINDS.index(example.kind)] = 1 - example.continues
    return targets


def weights_of(corpus: Sequence[Example]) -> Matrix:
    """The examples' own weights, scaled so that every kind weighs the same, and so does what goes on with a turn.

    `chat` and `other` weigh half.
    """
    totals: dict[TaskKind | None, float] = {}
    for example in corpus:
        totals[example.kind] = totals.get(example.kind, 0.0) + example.weight
    shares = {TaskKind.CHAT: 0.5, TaskKind.OTHER: 0.5}
    return np.array([e.weight * KIND_WEIGHT * shares.get(e.kind, 1.0) / totals[e.kind] for e in corpus], dtype=np.float32)


def penalty_of(inputs: Matrix) -> Matrix:
    penalty = np.full(inputs.shape[1], PENALTY, dtype=np.float32)
    penalty[-1] = 0
    return penalty


def held_out(corpus: Sequence[Example], inputs: Matrix, targets: Matrix, weights: Matrix) -> tuple[Matrix, Matrix, Matrix]:
    """Logits of the lines that we wrote, each by a head that saw none of its group; their targets and weights."""
    fold = np.array([crc32(example.group.encode()) % FOLDS for example in corpus])
    logits = np.zeros((len(corpus), targets.shape[1]), dtype=np.float32)
    for number in range(FOLDS):
        out = fold == number
        logits[out] = inputs[out] @ fit(inputs[~out], targets[~out], weights[~out], penalty_of(inputs), steps=40)
    written = np.array([example.written and example.continues == 0 for example in corpus])
    return logits[written], targets[written], weights[written]


def temperature_of(logits: Matrix, targets: Matrix, weights: Matrix) -> float:
    """The divisor of the logits that makes held-out answers likeliest."""

    def surprise(temperature: float) -> float:
        return float(-(weights * (targets * np.log(softmax(logits / np.float32(temperature)) + 1e-9)).sum(axis=1)).sum())

    return min((round(0.3 + 0.05 * step, 2) for step in range(60)), key=surprise)


def write(arrays: Arrays, path: Path) -> str:
    version = version_of(arrays)
    np.savez_compressed(path, **dict(arrays), version=np.array(version))
    return version


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=FILE)
    out = parser.parse_args().out
    version = write(train(WordLlama(), examples()), out)
    print(f"{out}: {version}, {out.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
