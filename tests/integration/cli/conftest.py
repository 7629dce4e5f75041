import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.integration.cli.command import Penstock, running_up


@dataclass(frozen=True, slots=True)
class Up:
    """A `penstock up` that is ready."""

    process: subprocess.Popen[str]
    data_dir: Path
    log: Path
    penstock: Penstock

    def output(self) -> str:
        return self.log.read_text()


@pytest.fixture(scope="package")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """The real stack, started by the real command; all tests of the package share it."""
    cwd = tmp_path_factory.mktemp("up")
    data_dir, log = cwd / "data", cwd / "up.log"
    with running_up(cwd, data_dir, log) as process:
        yield Up(process, data_dir, log, Penstock(cwd, ("--data-dir", str(data_dir))))
