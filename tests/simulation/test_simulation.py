"""No schedule of crashes, zombies, redeliveries and clock jumps breaks a promise."""

import os
from dataclasses import replace

import pytest

from tests.simulation.campaign import campaign
from tests.simulation.coverage import FLOORS, missing
from tests.simulation.history import explain, history_of
from tests.simulation.play import play
from tests.simulation.schedule import Schedule, schedule_of
from tests.simulation.seeds import KNOWN

SEEDS = int(os.environ.get("PENSTOCK_SIMULATION_SEEDS", "10000"))


@pytest.mark.timeout(900)
def test_every_seed_keeps_the_promises_and_together_they_explore_enough():
    tally = campaign(0, SEEDS)
    if tally.failures:
        first = min(tally.failures)
        pytest.fail(
            f"{len(tally.failures)} of {tally.seeds} seeds failed: {sorted(tally.failures)[:20]}\n{explain(first)}", pytrace=False
        )
    assert missing(tally) == []


@pytest.mark.parametrize("name", KNOWN)
def test_a_schedule_that_once_failed_holds(name: str):
    assert play(KNOWN[name]).problems == [], history_of(KNOWN[name])


def test_a_simulation_that_explores_nothing_fails():
    tally = campaign(0, 1, jobs=1)
    tally.seeds = 10_000
    assert len(missing(tally)) > len(FLOORS) / 2


def test_a_seed_gives_the_same_schedule_and_the_same_history():
    for seed in range(40, 44):
        assert schedule_of(seed) == schedule_of(seed)
        assert history_of(schedule_of(seed)) == history_of(schedule_of(seed))


def test_really_encoded_records_make_the_same_history():
    def plain(schedule: Schedule) -> Schedule:
        return replace(schedule, avro=False)

    for seed in (16, 48, 80):
        schedule = schedule_of(seed)
        assert schedule.avro
        assert history_of(schedule) == history_of(plain(schedule))
