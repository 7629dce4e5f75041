"""Trains the head from the corpus and writes its weights: python -m bench.classify.train"""

import argparse
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.classify.corpus import LINES, SECOND, Example, examples
from bench.classify.softmax import Inputs, Matrix, fit, softmax
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
LEFT_OUT_SIGNS = 0.5
LEFT_OUT_VECTORS = 0.3
SEED = 7
THRESHOLD = 0.3
Arrays = Mapping[str, NDArray[np.generic]]


def train(embedder: Embedder, corpus: Sequence[Example], *, temperature: float | None = None) -> dict[str, NDArray[np.generic]]:
    """The arrays of the weights file, without the version. A given temperature saves finding it, which takes most of the time."""
    known = known_signs(corpus)
    inputs = inputs_of(corpus, embedder, known)
    targets, weights = targets_of(corpus), weights_of(corpus)
    if temperature is None:
        temperature = temperature_of(*held_out(corpus, inputs, targets, weights))
    dense, by_sign = np.split(fitted(inputs, targets, weights), [inputs.dense.shape[1]])
    by_vector, by_shape, bias = np.split(dense, np.cumsum([embedder.dimensions, len(SHAPE)]))
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


def inputs_of(corpus: Sequence[Example], embedder: Embedder, known: Sequence[str]) -> Inputs:
    """A row for each example: vector, shape, a 1 for the bias, and its signs."""
    places = {sign: place for place, sign in enumerate(known)}
    words = [words_of(example.text) for example in corpus]
    found = [sorted(places[sign] for sign in signs_of(one) if sign in places) for one in words]
    counts = np.array([len(signs) for signs in found])
    vectors = embedder.embed([example.text for example in corpus]) * np.float32(VECTOR_UNIT)
    shapes = np.array([shape(example.text, one) for example, one in zip(corpus, words, strict=True)], dtype=np.float32)
    return Inputs(
        dense=np.hstack([vectors, shapes, np.ones((len(corpus), 1), dtype=np.float32)]),
        width=len(known),
        rows=np.repeat(np.arange(len(corpus)), counts),
        columns=np.array([place for signs in found for place in signs], dtype=np.intp),
        values=_values(counts),
    )


def _values(counts: NDArray[np.int_]) -> Matrix:
    return np.repeat([SIGN_UNIT * scale_of(int(count)) for count in counts], counts).astype(np.float32)


def fitted(inputs: Inputs, targets: Matrix, weights: Matrix) -> Matrix:
    """The coefficients for these examples, each twice: as it is, and with half of its signs and perhaps its vector left out.

    So no sign relies on its neighbours in a template, nor the signs on the vector.
    """
    draw = np.random.default_rng(SEED)
    kept = draw.random(len(inputs.rows)) >= LEFT_OUT_SIGNS
    dense = inputs.dense.copy()
    dense[draw.random(len(dense)) < LEFT_OUT_VECTORS, : -1 - len(SHAPE)] = 0
    counts = np.bincount(inputs.rows[kept], minlength=len(dense))
    both = Inputs(
        dense=np.vstack([inputs.dense, dense]),
        width=inputs.width,
        rows=np.concatenate([inputs.rows, len(dense) + inputs.rows[kept]]),
        columns=np.concatenate([inputs.columns, inputs.columns[kept]]),
        values=np.concatenate([inputs.values, _values(counts)]),
    )
    penalty = np.full(dense.shape[1] + inputs.width, PENALTY, dtype=np.float32)
    penalty[dense.shape[1] - 1] = 0
    return fit(both, np.vstack([targets, targets]), np.concatenate([weights, weights]), penalty)


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


def held_out(corpus: Sequence[Example], inputs: Inputs, targets: Matrix, weights: Matrix) -> tuple[Matrix, Matrix, Matrix]:
    """Logits of the lines that we wrote, their targets and weights.

    The lines of one source are judged by a head that saw the templates and the other source: what comes from outside differs
    from the corpus more than the lines of one file do from each other.
    """
    source = np.array([example.source for example in corpus])
    own = np.array([example.continues == 0 for example in corpus])
    logits = np.zeros_like(targets)
    for left_out in (LINES, SECOND):
        judged = source == left_out
        logits[judged] = inputs.only(judged).times(fitted(inputs.only(~judged), targets[~judged], weights[~judged]))
    judged = own & np.isin(source, (LINES, SECOND))
    return logits[judged], targets[judged], weights[judged]


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
