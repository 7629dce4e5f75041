"""A failing seed is told as a short history, with the command that plays it again."""

import pytest

from tests.simulation.__main__ import main
from tests.simulation.campaign import run_seeds
from tests.simulation.history import explain
from tests.simulation.plants import PLANTS
from tests.simulation.schedule import schedule_of
from tests.simulation.shrink import kinds, run, shrink


@pytest.mark.parametrize("name", ["estimate_forgotten", "result_without_fence", "total_left_out"])
def test_a_failing_schedule_shrinks_to_a_small_one_that_breaks_the_same(name: str):
    plant = PLANTS[name]
    seed = max(run_seeds(0, 1_000, name, until=plant.breaks).failures)
    schedule = schedule_of(seed)
    small = shrink(schedule, plant)
    assert kinds(run(small, plant)) & kinds(run(schedule, plant))
    assert not run(small, None).problems
    assert len(small.steps) <= 15
    assert len(small.requests) <= 2
    assert shrink(schedule, plant) == small


def test_the_history_names_who_did_what_what_broke_and_how_to_see_it_again():
    seed = max(run_seeds(0, 1_000, "estimate_forgotten", until="I3").failures)
    told = explain(seed, "estimate_forgotten")
    lines = told.splitlines()
    assert lines[1].lstrip().startswith("1. t=")
    assert "reports c" in told
    assert "broken: I3: call c" in told
    assert lines[-1] == f"replay: .venv/bin/python -m tests.simulation --seed {seed} --plant estimate_forgotten"
    assert len(lines) < 60


def test_the_command_that_is_printed_shows_it_again(capsys: pytest.CaptureFixture[str]):
    seed = max(run_seeds(0, 1_000, "cap_ignored", until="I5").failures)
    assert main(["--seed", str(seed), "--plant", "cap_ignored"]) == 0
    assert "broken: I5" in capsys.readouterr().out
    assert main(["--seed", str(seed)]) == 0
    assert f"seed {seed} holds" in capsys.readouterr().out
