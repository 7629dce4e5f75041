"""Fit the scorer's weights: python -m bench.semantic.fit --data FILE --embedder wordllama. Writes numbers only, no text.

Each of the models is fitted without one part of the pairs (by hash), and scores that part. From these scores come the trees'
training column of the linear model, the figures and the calibration.
"""

import argparse
import math
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np

from bench.semantic.boosting import fit_ridge, fit_trees
from bench.semantic.pairs import (
    PARTS,
    UNLABELLED,
    UNLABELLED_WRONG,
    WRONG,
    Candidates,
    Pairs,
    best,
    candidates,
    compatible_partners,
    partners,
    read,
    verdicts,
)
from processors.cache.semantic.bound import Calibration
from processors.cache.semantic.facts import stem
from processors.cache.semantic.features import RARITY_BUCKETS, Rarity, bucket, compare
from processors.cache.semantic.scorer import Scorer, write

ROUNDS, RATE, TREE_L2, RIDGE_L2 = 250, 0.08, 5.0, 1000.0
KEPT_WRONG = 0.1
"""Calibration keeps the scores of the worst answers up to this share of queries: thresholds for larger δ stay below it."""


def rarities(pairs: Pairs) -> Rarity:
    counts = Counter(bucket(word) for facts in pairs.questions.facts for word in {stem(word) for word in facts.words})
    total = len(pairs.questions)
    rarity = np.full(RARITY_BUCKETS, math.log(total + 1), np.float32)
    for at, count in counts.items():
        rarity[at] = math.log((total + 1) / (count + 1))
    return np.round(rarity, 2)


def fit(pairs: Pairs) -> Scorer:
    """Pairs that a guard parts are never scored, so none is fitted to."""
    rarity = rarities(pairs)
    passed = compatible_partners(pairs)
    features = [compare(pairs.questions[pairs.a[at]], pairs.questions[pairs.b[at]], rarity) for at in passed]
    narrow, wide = np.stack([f.narrow for f in features]), np.stack([f.wide for f in features])
    deviation, same = wide.std(0) + 1e-6, pairs.same[passed]
    linear, shifts, trees = [], [], []
    for part in range(PARTS):
        kept = pairs.part[passed] != part
        mean = wide[kept].mean(0)
        weights, left_out = fit_ridge((wide[kept] - mean) / deviation, same[kept], l2=RIDGE_L2)
        linear.append((weights / deviation).astype(np.float32))
        shifts.append(float(-(mean / deviation) @ weights))
        x = np.column_stack([narrow[kept], left_out]).astype(np.float32)
        trees.append(fit_trees(x, same[kept], rounds=ROUNDS, rate=RATE, l2=TREE_L2, seed=part))
    scorer = Scorer(
        rarity=rarity,
        wide=np.stack(linear),
        shift=np.array(shifts),
        base=np.array([t.base for t in trees]),
        feature=np.stack([t.feature for t in trees]),
        above=np.stack([t.above for t in trees]),
        leaf=np.stack([t.leaf for t in trees]),
        alone=_NOTHING,
        crowd=_NOTHING,
    )
    return replace(
        scorer,
        alone=calibrated(pairs, partners(pairs, scorer)),
        crowd=calibrated(pairs, candidates(pairs, scorer)),
    )


def calibrated(pairs: Pairs, found: Candidates) -> Calibration:
    """The scores at which a stream with all first questions kept would have been answered wrongly.

    An answer to a question that no pair relates counts as wrong in `UNLABELLED_WRONG` of the cases, chosen by its number.
    """
    scores, answer = best(pairs, found)
    judged = verdicts(pairs, np.arange(len(scores)), answer)
    assumed = np.random.default_rng(0).random(len(scores)) < UNLABELLED_WRONG
    wrong = np.flatnonzero(np.isfinite(scores) & ((judged == WRONG) | ((judged == UNLABELLED) & assumed)))
    wrong = wrong[np.argsort(-scores[wrong])][: int(KEPT_WRONG * len(scores))]
    return Calibration(
        wrong=scores[wrong].astype(np.float32),
        part=pairs.part[wrong].astype(np.int16),
        queries=np.bincount(pairs.part, minlength=PARTS),
    )


_NOTHING = Calibration(np.zeros(0, np.float32), np.zeros(0, np.int16), np.zeros(PARTS, np.int64))


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--data", type=Path, required=True)
    arguments.add_argument("--embedder", choices=("wordllama", "minilm"), default="wordllama")
    arguments.add_argument("--rows", type=int)
    arguments.add_argument("--vectors", type=Path, help="a file to keep the texts' vectors in")
    arguments.add_argument("--out", type=Path, default=Path("processors/cache/semantic/weights"))
    given = arguments.parse_args()
    began = time.process_time()
    scorer = fit(read(given.data, given.embedder, rows=given.rows, vectors=given.vectors))
    given.out.mkdir(exist_ok=True)
    path = given.out / f"{given.embedder}.npz"
    write(scorer, path)
    print(f"{path}: {path.stat().st_size} bytes, {time.process_time() - began:.0f} s of CPU")


if __name__ == "__main__":
    main()
