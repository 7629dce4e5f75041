"""The oracle is only as good as what it catches: each planted bug is caught within 1,000 seeds."""

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor

import pytest

from streams.dispatcher import cycle
from tests.simulation.campaign import quiet, run_seeds
from tests.simulation.plants import PLANTS, planted

SEEDS = 1_000


@pytest.fixture(scope="module")
def pool() -> Iterator[ProcessPoolExecutor]:
    """A process of its own: the bugs are planted into modules."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"), initializer=quiet) as found:
        yield found


@pytest.mark.parametrize("name", PLANTS)
def test_a_planted_bug_is_caught(name: str, pool: ProcessPoolExecutor):
    plant = PLANTS[name]
    tally = pool.submit(run_seeds, 0, SEEDS, name, until=plant.breaks).result()
    problems = [problem for found in tally.failures.values() for problem in found]
    assert any(problem.startswith(plant.breaks) for problem in problems), (
        f"{plant.what}: {plant.breaks} not found broken in {SEEDS} seeds, but {problems[:5]}"
    )


def test_a_planted_bug_is_gone_afterwards():
    sound = cycle.decide
    with planted(PLANTS["cap_ignored"]):
        assert cycle.decide is not sound
    assert cycle.decide is sound
