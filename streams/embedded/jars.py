"""The jars of Apache Kafka, fetched once into the local Maven repository and checked against a lock file.

`jgo` does the fetching, in Python: no Maven and no system Java. What to fetch is locked in `kafka_jars.lock` with sizes
and SHA-256 sums, so that a start walks no POMs, knows the bytes to come, and runs nothing that was not reviewed.
Resolving anew is for maintainers: `python -m streams.embedded.jars` prints the lock file.
"""

import hashlib
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any

from schemas.errors import SettingsError

KAFKA_VERSION = "4.3.1"  # not 4.4.0: one of its artifacts is missing upstream
_LOCK_FILE = Path(__file__).with_name("kafka_jars.lock")
_CONNECTIONS = 4


@dataclass(frozen=True, slots=True)
class Jar:
    group: str
    artifact: str
    version: str
    size_bytes: int
    sha256: str

    @property
    def path(self) -> Path:
        """Where the jar lies inside a Maven repository."""
        return Path(*self.group.split("."), self.artifact, self.version, f"{self.artifact}-{self.version}.jar")

    def __str__(self) -> str:
        return f"{self.group}:{self.artifact}:{self.version}"


@dataclass(frozen=True, slots=True)
class Progress:
    """How much of a download is done, in bytes."""

    done_bytes: int
    total_bytes: int


@cache
def locked() -> tuple[Jar, ...]:
    """All jars on the class path of the server."""
    return tuple(_jar(line) for line in _LOCK_FILE.read_text().splitlines() if not line.startswith("#"))


def class_path(*, on_progress: Callable[[Progress], None] = lambda _: None, repository: Path | None = None) -> str:
    """The server's class path, after fetching what the local Maven repository lacks (all: 43 MiB).

    `repository` is `default_repository()` if left out. A jar appears there complete and checked, or
    not at all. Blocks; `on_progress` is called from other threads.
    Raises SettingsError when a jar is missing and cannot be fetched, or is not the one that was locked.
    """
    repository = repository or default_repository()
    missing = [jar for jar in locked() if not _is_there(repository / jar.path, jar)]
    if missing:
        _fetch(missing, repository, on_progress)
    return ":".join(str(repository / jar.path) for jar in locked())


def default_repository() -> Path:
    """The local Maven repository, where jgo has it: `$M2_REPO`, else `~/.m2/repository`."""
    named = os.environ.get("M2_REPO")
    return Path(named) if named else Path.home() / ".m2" / "repository"


def _jar(line: str) -> Jar:
    coordinate, size_bytes, sha256 = line.split()
    group, artifact, version = coordinate.split(":")
    return Jar(group, artifact, version, int(size_bytes), sha256)


def _is_there(path: Path, jar: Jar) -> bool:
    return path.is_file() and path.stat().st_size == jar.size_bytes


def _fetch(jars: list[Jar], repository: Path, on_progress: Callable[[Progress], None]) -> None:
    from jgo.maven import MavenContext, PythonResolver  # noqa: PLC0415 - it takes long to load, and only the first start fetches

    tally = _Tally(sum(jar.size_bytes for jar in jars), on_progress)
    repository.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix=".penstock-", dir=repository) as staging,
        ThreadPoolExecutor(_CONNECTIONS) as pool,
    ):
        context = MavenContext(resolver=PythonResolver(progress_callback=tally.one_file), repo_cache=Path(staging), timeout=30)
        try:
            for _ in pool.map(lambda jar: _fetch_one(jar, context, repository), jars):
                pass
        except (OSError, RuntimeError) as error:  # of `requests`; jgo says "not found upstream" with a RuntimeError
            pool.shutdown(cancel_futures=True)
            raise SettingsError(
                f"cannot fetch the jars of Apache Kafka {KAFKA_VERSION} ({type(error).__name__}): the first start needs "
                f"a way to {', '.join(context.remote_repos.values())}; connect once, copy {repository} from a machine "
                "that has them, or use a Kafka of your own with --bootstrap-servers"
            ) from error


def _fetch_one(jar: Jar, context: Any, repository: Path) -> None:
    fetched = Path(context.create_dependency(str(jar)).artifact.resolve())
    digest = hashlib.sha256(fetched.read_bytes()).hexdigest()
    if digest != jar.sha256:
        raise SettingsError(
            f"{jar} as fetched is not the jar that was locked (SHA-256 {digest}, expected {jar.sha256}); try again, "
            "and if it stays so, do not trust the network in between"
        )
    target = repository / jar.path
    target.parent.mkdir(parents=True, exist_ok=True)
    fetched.replace(target)


class _Tally:
    """Adds up the bytes of files that arrive side by side, in jgo's form of a progress callback."""

    def __init__(self, total_bytes: int, on_progress: Callable[[Progress], None]) -> None:
        self._total_bytes = total_bytes
        self._done_bytes = 0
        self._on_progress = on_progress
        self._lock = Lock()

    @contextmanager
    def one_file(self, _name: str, _size_bytes: int) -> Iterator[Callable[[int], None]]:
        yield self._add

    def _add(self, arrived_bytes: int) -> None:
        with self._lock:
            self._done_bytes += arrived_bytes
            self._on_progress(Progress(self._done_bytes, self._total_bytes))


def lock_lines() -> Iterator[str]:
    """A new lock file, resolved from the published POMs.

    The binding of SLF4J to Log4j belongs to Kafka's release, not to its POM. It is added without resolving it, since
    the managed versions that come with it would replace those of Kafka itself (kafka-clients 3.9.1 among 4.3.1).
    """
    from jgo.maven import MavenContext  # noqa: PLC0415 - see above

    context = MavenContext()
    inputs, others = context.resolver.resolve([context.create_dependency(f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}")])
    artifacts = [dependency.artifact for dependency in (*inputs, *others) if dependency.scope in {None, "compile", "runtime"}]
    log4j = next(artifact.version for artifact in artifacts if artifact.artifactId == "log4j-core")
    artifacts.append(context.create_dependency(f"org.apache.logging.log4j:log4j-slf4j-impl:{log4j}").artifact)
    yield f"# The jars of Apache Kafka {KAFKA_VERSION}: coordinate, bytes, SHA-256. From: python -m streams.embedded.jars"
    for artifact in sorted(artifacts, key=str):
        content = Path(artifact.resolve()).read_bytes()
        coordinate = f"{artifact.groupId}:{artifact.artifactId}:{artifact.version}"
        yield f"{coordinate} {len(content)} {hashlib.sha256(content).hexdigest()}"


if __name__ == "__main__":
    sys.stdout.writelines(f"{line}\n" for line in lock_lines())
