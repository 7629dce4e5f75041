"""The scripts that fit and judge the scorer, on a small file made here."""

import json
import random
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from bench.semantic import evaluate, fit
from bench.semantic.boosting import fit_ridge, fit_trees, log_odds
from bench.semantic.pairs import PARTS, candidates, partners, read, verdicts
from processors.cache.semantic.scorer import Scorer

_THINGS = "bread violin garden password engine poem chess tent bicycle kettle lamp violet carpet window mirror ladder"
_ACTS = "build clean repair sell paint choose store move"
THINGS, ACTS = _THINGS.split(), _ACTS.split()


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    draw = random.Random(7)
    path = tmp_path_factory.mktemp("pairs") / "pairs.jsonl"
    with path.open("w") as out:
        for _ in range(500):
            thing, act, other = draw.choice(THINGS), draw.choice(ACTS), draw.choice(ACTS)
            asked = f"How do I {act} a {thing}?"
            second = f"What is the best way to {other} a {thing}?"
            out.write(json.dumps({"a": asked, "b": second, "same": act == other or draw.random() < 0.2}) + "\n")
    return path


@pytest.fixture(scope="module", autouse=True)
def _few_trees() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fit, "ROUNDS", 30)
        yield


@pytest.fixture(scope="module")
def fitted(file: Path) -> Scorer:
    return fit.fit(read(file, "wordllama", rows=None, vectors=None))


def test_a_file_is_judged_and_the_figures_are_written(
    file: Path, fitted: Scorer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(evaluate, "load", lambda _: fitted)
    monkeypatch.setattr(sys, "argv", ["evaluate", "--data", str(file), "--orders", "2", "--out", str(tmp_path / "semantic.json")])
    evaluate.main()
    found = json.loads((tmp_path / "semantic.json").read_text())["embedders"]["wordllama"]
    assert found["queries"] == 500
    best = found["hits_at_best_single_threshold"]
    assert best["score, all guards"]["0.05"] >= best["cosine"]["0.05"]
    for setting in found["bound"].values():
        for result in setting.values():
            assert result["orders"] == 2
            assert 0 <= result["wrong_mean"] <= result["wrong_most"] <= result["hits_mean"] + 0.01


def test_fitting_twice_gives_the_same_weights(file: Path, fitted: Scorer):
    again = fit.fit(read(file, "wordllama", rows=None, vectors=None))
    assert (again.feature == fitted.feature).all()
    assert np.allclose(again.leaf, fitted.leaf)
    assert np.allclose(again.alone.wrong, fitted.alone.wrong)


def test_the_index_holds_other_questions_than_the_partner(file: Path, fitted: Scorer):
    pairs = read(file, "wordllama", rows=None, vectors=None)
    index, own = candidates(pairs, fitted), partners(pairs, fitted)
    assert (own.query == own.entry).all()
    assert (index.query != index.entry).any()
    assert set(pairs.part) == set(range(PARTS))
    assert (verdicts(pairs, own.query, own.entry) == ~pairs.same[own.query]).all()


def test_one_threshold_serves_until_the_wrong_answers_are_too_many():
    score, same = np.array([5.0, 4.0, 3.0, 2.0, 1.0, -np.inf]), np.array([True, True, False, True, False, False])
    assert evaluate.single_threshold(score, same, 0.0) == pytest.approx(2 / 6)
    assert evaluate.single_threshold(score, same, 0.17) == pytest.approx(4 / 6)
    assert evaluate.single_threshold(score, same, 0.5) == pytest.approx(5 / 6)


def test_trees_find_what_no_line_can_and_a_left_out_prediction_knows_nothing_of_its_row():
    draw = np.random.default_rng(1)
    x = draw.normal(size=(2000, 3)).astype(np.float32)
    y = (x[:, 0] > 0) ^ (x[:, 1] > 0)
    trees = fit_trees(x, y, rounds=60, rate=0.3, l2=1.0, seed=0, sample=1.0)
    assert ((log_odds(trees, x) > 0) == y).mean() > 0.95
    few = x[:50]
    weights, left_out = fit_ridge(few, y[:50], l2=1.0)
    alone, _ = fit_ridge(few[1:], y[1:50], l2=1.0)
    assert weights @ few[0] != pytest.approx(left_out[0])
    assert abs(left_out[0] - alone @ few[0]) < 0.02
