"""The clock is the system's; with PENSTOCK_CLOCK_OFFSET_FILE it goes wrong by what the file says."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from streams import clock

TOLERANCE = timedelta(seconds=30)


def test_without_the_variable_it_is_the_system_clock() -> None:
    before = datetime.now(UTC)
    assert before <= clock.now() <= datetime.now(UTC)


def test_it_is_as_wrong_as_the_file_says(tmp_path: Path) -> None:
    file = tmp_path / "offset"
    clock_of = clock._wrong_now(file)
    assert abs(clock_of() - datetime.now(UTC)) < TOLERANCE, "no file, no error"
    file.write_text("-3600")
    assert abs(clock._wrong_now(file)() - datetime.now(UTC) + timedelta(hours=1)) < TOLERANCE


def test_it_looks_again(tmp_path: Path) -> None:
    file = tmp_path / "offset"
    file.write_text("600")
    wrong = clock._wrong_now(file)
    assert wrong() - datetime.now(UTC) > timedelta(minutes=9)
    file.unlink()
    deadline = datetime.now(UTC) + TOLERANCE
    while abs(wrong() - datetime.now(UTC)) > TOLERANCE:
        assert datetime.now(UTC) < deadline


def test_the_variable_is_read_when_a_process_starts(tmp_path: Path) -> None:
    file = tmp_path / "offset"
    file.write_text("86400")
    code = "import time; from streams import clock; print(round(clock.now().timestamp() - time.time()))"
    said = subprocess.run(
        [sys.executable, "-c", code],
        env={clock.OFFSET_FILE_VARIABLE: str(file), "PYTHONPATH": str(Path(__file__).resolve().parents[2])},
        capture_output=True,
        text=True,
        check=True,
    )
    assert abs(int(said.stdout) - 86_400) < TOLERANCE.total_seconds()


class Clocks:
    """A wall clock that is set, and one that nobody sets."""

    def __init__(self) -> None:
        self.wall, self.passed_s = datetime(2026, 1, 1, tzinfo=UTC), 0.0
        self.steady = clock.SteadyClock(lambda: self.wall, lambda: self.passed_s)

    def passes(self, seconds: float) -> None:
        self.wall += timedelta(seconds=seconds)
        self.passed_s += seconds


def test_a_steady_clock_shows_the_time_of_day() -> None:
    clocks = Clocks()
    for _ in range(5):
        clocks.passes(0.3)
        assert clocks.steady.now() == clocks.wall


@pytest.mark.parametrize("step_s", [600.0, -600.0, -3600.0])
def test_a_step_of_the_clock_is_closed_in_on_and_never_taken(step_s: float) -> None:
    clocks = Clocks()
    clocks.wall += timedelta(seconds=step_s)
    before, shown = clocks.steady.now(), []
    for _ in range(100):
        clocks.passes(1.0)
        shown.append(clocks.steady.now())
    assert abs((shown[0] - before).total_seconds() - 1.0) <= 0.101
    assert shown == sorted(shown)
    closer_s = abs((clocks.wall - shown[-1]).total_seconds())
    assert abs(closer_s - (abs(step_s) - 10.0)) < 0.01, "a tenth of 100 s"
    for _ in range(400):
        clocks.passes(100.0)
        clocks.steady.now()
    assert clocks.steady.now() == clocks.wall
