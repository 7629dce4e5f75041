"""Jars are fetched once, checked, and stored complete or not at all. A server on this machine plays the repository."""

import functools
import http.server
import threading
from pathlib import Path

import jgo.maven._core
import pytest
from jgo.constants import default_maven_repo

from schemas.errors import SettingsError
from streams.embedded.jars import class_path, locked

pytestmark = pytest.mark.stack


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture
def upstream(tmp_path, monkeypatch, kafka):
    """A directory that is served as the only remote repository: the jars that the session's broker runs on, as links."""
    directory = tmp_path / "upstream"
    for jar in locked():
        (directory / jar.path).parent.mkdir(parents=True)
        (directory / jar.path).symlink_to(Path(default_maven_repo()) / jar.path)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=directory))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setitem(jgo.maven._core.DEFAULT_REMOTE_REPOS, "central", f"http://127.0.0.1:{server.server_port}")
    yield directory
    server.shutdown()
    server.server_close()
    thread.join()


def stored(repository):
    return {path.relative_to(repository) for path in repository.rglob("*") if path.is_file()}


def test_the_first_start_fetches_all_and_says_how_far_it_is(upstream, tmp_path):
    heard = []

    path = class_path(on_progress=heard.append, repository=tmp_path / "cache")

    total_bytes = sum(jar.size_bytes for jar in locked())
    assert stored(tmp_path / "cache") == {jar.path for jar in locked()}
    assert path.split(":") == [str(tmp_path / "cache" / jar.path) for jar in locked()]
    assert {progress.total_bytes for progress in heard} == {total_bytes}
    assert [progress.done_bytes for progress in heard] == sorted(progress.done_bytes for progress in heard)
    assert heard[-1].done_bytes == total_bytes


def test_a_later_start_fetches_only_what_is_missing(upstream, tmp_path):
    class_path(repository=tmp_path / "cache")
    missing, cut_short = locked()[3], locked()[7]
    (tmp_path / "cache" / missing.path).unlink()
    (tmp_path / "cache" / cut_short.path).write_bytes(b"PK")
    heard = []

    class_path(on_progress=heard.append, repository=tmp_path / "cache")

    assert heard[-1].done_bytes == missing.size_bytes + cut_short.size_bytes
    assert (tmp_path / "cache" / cut_short.path).stat().st_size == cut_short.size_bytes
    heard.clear()
    class_path(on_progress=heard.append, repository=tmp_path / "cache")
    assert heard == []


def test_a_jar_that_is_not_the_locked_one_is_refused(upstream, tmp_path):
    victim = locked()[5]
    (upstream / victim.path).unlink()
    (upstream / victim.path).write_bytes(b"x" * victim.size_bytes)

    with pytest.raises(SettingsError, match=rf"{victim.artifact}.* is not the jar that was locked"):
        class_path(repository=tmp_path / "cache")
    assert victim.path not in stored(tmp_path / "cache")


def test_a_jar_that_upstream_lacks_is_a_matter_for_the_operator(upstream, tmp_path):
    (upstream / locked()[0].path).unlink()

    with pytest.raises(SettingsError, match=r"cannot fetch the jars .*--bootstrap-servers"):
        class_path(repository=tmp_path / "cache")


def test_without_a_network_the_operator_is_told_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setitem(jgo.maven._core.DEFAULT_REMOTE_REPOS, "central", "http://127.0.0.1:1")

    with pytest.raises(SettingsError, match=r"the first start needs a way to http://127.0.0.1:1; connect once") as caught:
        class_path(repository=tmp_path / "cache")
    assert "ConnectionError" in str(caught.value)
    assert stored(tmp_path / "cache") == set()
