"""The bound over a stream: answers are compared by the judge, and what it says is learnt from the records of the topic."""

from datetime import UTC, datetime
from functools import cache

import numpy as np
import pytest

from processors.cache.semantic.decide import Ask, Serve, decide
from processors.cache.semantic.judge import judge
from schemas.calls import Output
from schemas.semantic import Agreement, Compared, SemanticEntry
from schemas.serde import Serde
from streams.embedding.wordllama import WordLlama
from streams.stores.semantic_shifts import Shifts

CODEC, EMBEDDER = Serde().of(SemanticEntry), WordLlama()
SCOPE, AT, DELTA, QUERIES = b"s" * 32, datetime(2026, 6, 1, tzinfo=UTC), 0.02, 6_000
_KEPT = "Open the settings, choose {thing} and switch the second option on."
_SAME = "Open the settings, choose {thing}, then switch on the second option."
_OTHER = "Write to the office on the first floor; {thing} is handled there by hand, which takes some weeks."


def logistic(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


@cache
def judged(kept: str, own: str) -> Agreement | None:
    return judge(Output(kept), Output(own), EMBEDDER)


def record_of(key: str, request_id: str, score: float, agreement: Agreement) -> bytes:
    compared = Compared(request_id, score, agreement)
    return CODEC.encode(SemanticEntry(key, SCOPE, "t", "", b"", "wordllama", AT, AT, compared))


def played(seed: int, *, tilt: float, learns: bool, verbatim: float = 0.5, entries: int = 200) -> tuple[float, float]:
    """(wrong, served) as shares of all queries. `tilt` moves the odds of all entries away from those that the threshold is for.

    `verbatim` of the right answers come word for word, the others in other words.
    """
    draw = np.random.default_rng(seed)
    calibration = draw.normal(-1, 2, 20_000)
    odds = calibration + draw.normal(0, 1, len(calibration))
    wrong = np.sort(calibration[draw.random(len(odds)) > logistic(odds)])[::-1]
    threshold = float(wrong[int(0.8 * DELTA * len(calibration))])
    tilts = draw.normal(0, 1, entries) + tilt
    shifts, served, mistakes = Shifts(entries=1_000, scopes=10), 0, 0
    for query in range(QUERIES):
        entry, score, luck = int(draw.integers(entries)), float(draw.normal(-1, 2)), draw.random()
        right = bool(luck < logistic(score + tilts[entry]))
        key, thing = f"k{entry}", f"area {chr(97 + entry % 26)}"
        answer = decide(*shifts.of(key, SCOPE), score, threshold=threshold, draw=float(draw.random()))
        words = draw.random() < verbatim
        if isinstance(answer, Serve):
            served += 1
            mistakes += not right
        elif isinstance(answer, Ask) and answer.compare and learns:
            own = (_KEPT if words else _SAME) if right else _OTHER
            agreement = judged(_KEPT.format(thing=thing), own.format(thing=thing))
            assert agreement is not None
            learnt = CODEC.decode(record_of(key, f"r{query}", score, agreement))
            shifts.learn(learnt.cache_key, learnt.scope, learnt.compared)
    return mistakes / QUERIES, served / QUERIES


SEEDS = range(3)


def test_the_words_of_this_test_are_judged_as_it_needs():
    kept, same, other = (text.format(thing="area b") for text in (_KEPT, _SAME, _OTHER))
    found = [judged(kept, own) for own in (kept, same, other)]
    assert found == [Agreement.SAME, Agreement.ALIKE, Agreement.DIFFERENT]


def test_traffic_that_is_harder_than_the_calibration_is_learnt_and_the_bound_held():
    assert max(played(seed, tilt=-1.0, learns=True)[0] for seed in SEEDS) <= DELTA
    assert min(played(seed, tilt=-1.0, learns=False)[0] for seed in SEEDS) > DELTA


@pytest.mark.parametrize("verbatim", [0.0, 0.5, 1.0])
def test_in_traffic_like_the_calibration_learning_keeps_the_bound(verbatim: float):
    runs = [played(seed, tilt=0.0, learns=True, verbatim=verbatim) for seed in SEEDS]
    assert max(wrong for wrong, _ in runs) <= DELTA
    assert min(served for _, served in runs) > DELTA


def test_entries_that_prove_right_serve_more_and_those_that_are_only_judged_right_do_not():
    for seed in SEEDS:
        (wrong, opened), (_, kept), (_, before) = (
            played(seed, tilt=2.0, learns=learns, verbatim=verbatim, entries=40)
            for learns, verbatim in ((True, 1.0), (True, 0.0), (False, 0.0))
        )
        assert wrong <= DELTA
        assert opened > 1.2 * before
        assert kept <= before
