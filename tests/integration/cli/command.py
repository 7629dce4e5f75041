"""The real command, as a subprocess."""

import json
import os
import subprocess
import sys
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
