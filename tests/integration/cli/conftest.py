import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.integration.cli.command import COMMAND, Penstock, environment


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
    argv = (*COMMAND, "up", "--data-dir", str(data_dir), "--providers", "openai,anthropic")
    with log.open("w") as out:
        process = subprocess.Popen(argv, cwd=cwd, env=environment(), stdout=out, stderr=subprocess.STDOUT, text=True)
    try:
        _until_ready(process, log)
        yield Up(process, data_dir, log, Penstock(cwd, ("--data-dir", str(data_dir))))
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(40)
            except subprocess.TimeoutExpired:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGKILL)
                process.wait(10)


def _until_ready(process: subprocess.Popen[str], log: Path, *, timeout_s: float = 120) -> None:
    give_up = time.monotonic() + timeout_s
    while "penstock ask" not in log.read_text():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < give_up, log.read_text()
        time.sleep(0.1)
