"""The semantic cache on a stream of question pairs: python -m bench.semantic.evaluate --data FILE. Writes JSON.

The first question of each pair is kept, the second asked, pair after pair, in 20 orders. What is asked meets everything kept so
far. A query is judged by the models and the thresholds that were fitted without its part (by hash), so figures about the file
that the weights came from are figures about pairs not fitted. Wrong answers are counted as a share of all queries.
"""

import argparse
import json
import zlib
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.machine import described
from bench.semantic.pairs import (
    PARTS,
    RIGHT,
    UNLABELLED,
    UNLABELLED_WRONG,
    WRONG,
    Candidates,
    Pairs,
    best,
    candidates,
    partners,
    read,
    verdicts,
)
from processors.cache.semantic.bound import Calibration
from processors.cache.semantic.decide import EXPLORED_SHARE, NEW_ENTRY, NEW_SCOPE, Serve, Shift, decide, observe
from processors.cache.semantic.guards import Reason, mismatches
from processors.cache.semantic.scorer import Scorer, load

DELTAS = (0.005, 0.01, 0.02, 0.05)


def single_threshold(score: NDArray[np.float64], same: NDArray[np.bool_], delta: float) -> float:
    """The most hits, as a share of all queries, that one threshold chosen in hindsight gives at this share of wrong answers."""
    order = np.argsort(-score, kind="stable")
    wrong = np.cumsum(~same[order] & np.isfinite(score[order]))
    served = np.searchsorted(wrong, int(delta * len(score)), side="right")
    return float(min(served, np.isfinite(score).sum()) / len(score))


def baselines(pairs: Pairs, own: Candidates) -> dict[str, dict[str, float]]:
    """Partner alone: the second question meets the first question of its own pair and no other."""
    cosine = np.einsum("ij,ij->i", pairs.vectors[pairs.a], pairs.vectors[pairs.b]).astype(np.float64)
    reasons = [mismatches(pairs.questions.facts[a], pairs.questions.facts[b]) for a, b in zip(pairs.a, pairs.b, strict=True)]
    few = np.array([bool(found & {Reason.NUMBERS, Reason.NEGATION}) for found in reasons])
    every = np.array([bool(found) for found in reasons])
    scored, _ = best(pairs, own)
    ways = {
        "cosine": cosine,
        "cosine, number and negation guards": np.where(few, -np.inf, cosine),
        "cosine, all guards": np.where(every, -np.inf, cosine),
        "score, all guards": scored,
    }
    return {way: {str(delta): single_threshold(score, pairs.same, delta) for delta in DELTAS} for way, score in ways.items()}


def run(pairs: Pairs, found: Candidates, thresholds: list[float], *, order: int) -> dict[str, float]:
    """One pass over the pairs in one order: the shares of queries answered, and of those answered wrongly.

    A comparison is learned from when a label tells its outcome; where none does, nobody can be asked here.
    """
    sequence = np.random.default_rng(order).permutation(len(pairs.a))
    arrived = np.empty(len(sequence), np.intp)
    arrived[sequence] = np.arange(len(sequence))
    judged, starts = verdicts(pairs, found.query, found.entry), np.searchsorted(found.query, np.arange(len(sequence) + 1))
    entries: dict[int, Shift] = {}
    scope, served, explored = NEW_SCOPE, Counter[int](), 0
    for query in sequence:
        here = [at for at in range(starts[query], starts[query + 1]) if arrived[found.entry[at]] <= arrived[query]]
        if not here:
            continue
        at = max(here, key=lambda each: found.score[each])
        entry, score, verdict = int(found.entry[at]), float(found.score[at]), int(judged[at])
        draw = zlib.crc32(f"{order}/{query}".encode()) / 2**32
        answer = decide(entries.get(entry, NEW_ENTRY), scope, score, threshold=thresholds[pairs.part[query]], draw=draw)
        if isinstance(answer, Serve):
            served[verdict] += 1
            continue
        explored += answer.explored
        if answer.compare and verdict != UNLABELLED:
            entries[entry] = observe(entries.get(entry, NEW_ENTRY), score, right=verdict == RIGHT)
            scope = observe(scope, score, right=verdict == RIGHT)
    count = len(sequence)
    return {
        "hits": served.total() / count,
        "wrong": (served[WRONG] + UNLABELLED_WRONG * served[UNLABELLED]) / count,
        "unlabelled": served[UNLABELLED] / count,
        "explored": explored / count,
    }


def bound(pairs: Pairs, found: Candidates, calibration: Calibration, *, delta: float, orders: int) -> dict[str, Any]:
    thresholds = [calibration.threshold(delta, without_part=part) for part in range(PARTS)]
    runs = [run(pairs, found, thresholds, order=order) for order in range(orders)]
    return {
        "hits_mean": float(np.mean([each["hits"] for each in runs])),
        "hits_least": min(each["hits"] for each in runs),
        "wrong_mean": float(np.mean([each["wrong"] for each in runs])),
        "wrong_most": max(each["wrong"] for each in runs),
        "wrong_most_if_all_unlabelled_are": max(each["wrong"] + (1 - UNLABELLED_WRONG) * each["unlabelled"] for each in runs),
        "unlabelled_mean": float(np.mean([each["unlabelled"] for each in runs])),
        "explored_mean": float(np.mean([each["explored"] for each in runs])),
        "orders_held": sum(each["wrong"] <= delta for each in runs),
        "orders": orders,
    }


def report(pairs: Pairs, scorer: Scorer, *, orders: int) -> dict[str, Any]:
    own, index = partners(pairs, scorer), candidates(pairs, scorer)
    streams = {"partner alone": (own, scorer.alone), "whole index": (index, scorer.crowd)}
    return {
        "queries": len(pairs.a),
        "same": float(pairs.same.mean()),
        "explored_share": EXPLORED_SHARE,
        "hits_at_best_single_threshold": baselines(pairs, own),
        "bound": {
            name: {str(delta): bound(pairs, found, calibration, delta=delta, orders=orders) for delta in DELTAS}
            for name, (found, calibration) in streams.items()
        },
    }


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--data", type=Path, required=True)
    arguments.add_argument("--embedder", choices=("wordllama", "minilm"), action="append")
    arguments.add_argument("--orders", type=int, default=20)
    arguments.add_argument(
        "--rows", type=int, default=50_000, help="the first so many rows of the file: the whole index takes their square"
    )
    arguments.add_argument("--vectors", type=Path, help="a folder to keep the texts' vectors in between runs")
    arguments.add_argument("--out", type=Path, default=Path("bench/results/semantic.json"))
    given = arguments.parse_args()
    found = {}
    for name in given.embedder or ["wordllama"]:
        vectors = given.vectors / f"{name}.npy" if given.vectors is not None else None
        found[name] = report(read(given.data, name, rows=given.rows, vectors=vectors), load(name), orders=given.orders)
        print(name, json.dumps(found[name], indent=1))
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(
        json.dumps({**described(), "data": given.data.name, "embedders": found}, indent=1) + "\n", encoding="utf-8"
    )


if __name__ == "__main__":
    main()
