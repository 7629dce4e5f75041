"""The real command, as a subprocess."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from streams.cli.main import main

COMMAND = (sys.executable, "-P", "-m", "streams.cli.main")
CHECKOUT = Path(__file__).parents[3]
_FOREIGN = ("PENSTOCK_", "REDIS_URL", "SCHEMA_REGISTRY_", "OPENAI_", "ANTHROPIC_", "GOOGLE_AI_", "DEEPSEEK_", "OLLAMA_")


def environment(**more: str) -> dict[str, str]:
    """This one's, without what would lead a command elsewhere."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}
    return {**own, "PYTHONPATH": str(CHECKOUT), "COLUMNS": "120", **more}


@contextlib.contextmanager
def running_up(cwd: Path, data_dir: Path, log: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    """`penstock up` as a process, ready in the body and gone after it; what it says goes into `log`."""
    argv = (*COMMAND, "up", "--data-dir", str(data_dir), "--providers", "openai,anthropic", *options)
    with log.open("w") as out:
        process = subprocess.Popen(argv, cwd=cwd, env=environment(), stdout=out, stderr=subprocess.STDOUT, text=True)
    try:
        _until_ready(process, log)
        yield process
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


@dataclass(frozen=True, slots=True)
class Result:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one object that standard output is."""
        [line] = self.out.splitlines()
        return json.loads(line)

    @property
    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.out.splitlines()]


@dataclass(frozen=True, slots=True)
class Penstock:
    """Runs commands in a directory of their own, so that no `.env` and no `.penstock` is found."""

    cwd: Path
    options: tuple[str, ...] = ()
    variables: tuple[tuple[str, str], ...] = ()

    def __call__(self, command: str, *arguments: str, stdin: str | None = None, timeout_s: float = 60) -> Result:
        argv = (*COMMAND, command, *arguments, *self.options)
        done = subprocess.run(
            argv,
            cwd=self.cwd,
            env=environment(**dict(self.variables)),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        assert "Traceback" not in done.stderr, done.stderr
        return Result(done.returncode, done.stdout, done.stderr)


class InProcess:
    """Runs the same `main` in this process: as good where nothing is started, and a hundred times as fast."""

    def __init__(self, cwd: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
        monkeypatch.chdir(cwd)
        self._monkeypatch = monkeypatch
        self._capfd = capfd
        for name in os.environ:
            if name.startswith(_FOREIGN):
                monkeypatch.delenv(name)

    def __call__(self, *arguments: str) -> Result:
        self._monkeypatch.setattr(sys, "argv", ["penstock", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = self._capfd.readouterr()
        assert "Traceback" not in err, err
        return Result(int(ended.value.code or 0), out, err)
