"""The Java and the Go example, built with this machine's toolchains while other tests run."""

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

EXAMPLES = Path(__file__).parents[3] / "examples"
_WITHIN_S = 600.0

Argv = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Recipe:
    """How an example is built. The second Java goal runs nothing: it has what `exec:java` needs fetched here, and not later."""

    needs: Argv
    build: Argv


RECIPES = {
    "go": Recipe(("go",), ("go", "build", "-o", "costs", ".")),
    "java": Recipe(("javac", "mvn"), ("mvn", "-q", "--batch-mode", "compile", "exec:exec", "-Dexec.executable=true")),
}


@dataclass(slots=True)
class Build:
    """One example on its way."""

    folder: Path
    process: subprocess.Popen[bytes]

    @property
    def log(self) -> Path:
        return self.folder.with_suffix(".log")

    def join(self) -> Path:
        """The folder, once it is built. Raises what the toolchain says."""
        assert self.process.wait(_WITHIN_S) == 0, self.log.read_text()
        return self.folder


class Examples:
    """Builds each in a copy of its folder, with what the others leave of the processors."""

    def __init__(self, where: Path, wanted: Iterable[str]) -> None:
        self._where = where
        self._builds = {name: self._begun(name) for name in wanted if not missing(name)}

    def built(self, name: str) -> Path:
        """Its folder; skips where there is no toolchain for it."""
        if lacking := missing(name):
            pytest.skip(f"this machine has no {' and no '.join(lacking)}")
        return self._builds[name].join()

    def close(self) -> None:
        for build in self._builds.values():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(build.process.pid, signal.SIGKILL)
            build.process.wait(20)

    def _begun(self, name: str) -> Build:
        folder = self._where / name
        shutil.copytree(EXAMPLES / name, folder)
        with folder.with_suffix(".log").open("wb") as log:
            process = subprocess.Popen(RECIPES[name].build, cwd=folder, stdout=log, stderr=log, start_new_session=True)
        psutil.Process(process.pid).nice(19)
        return Build(folder, process)


def missing(name: str) -> Argv:
    """The programs of its toolchain that are not here."""
    return tuple(program for program in RECIPES[name].needs if shutil.which(program) is None)
