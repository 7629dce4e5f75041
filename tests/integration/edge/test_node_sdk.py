"""The official `openai` package of Node against the running stack; skipped where Node or the package cannot be had."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.integration.edge.conftest import Edge

pytestmark = [pytest.mark.stack, pytest.mark.slow, pytest.mark.timeout(600)]

SUITE = Path(__file__).parent / "node"


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the suite and the package that it names."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("no Node on this machine")
    folder = tmp_path_factory.mktemp("node")
    for name in ("package.json", "suite.mjs"):
        shutil.copy(SUITE / name, folder)
    argv = ("npm", "install", "--no-audit", "--no-fund", "--ignore-scripts")
    installed = subprocess.run(argv, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    if installed.returncode:
        pytest.skip(f"npm has no package for this machine: {installed.stderr.strip().splitlines()[-1:]}")
    return folder


def test_every_case_of_the_suite(edge: Edge, package: Path) -> None:
    keys = {"EDGE_URL": edge.url, "EDGE_KEY": edge.key("acme"), "EDGE_READER_KEY": edge.key("acme", "read")}
    done = subprocess.run(
        ("node", "suite.mjs"), cwd=package, env={**os.environ, **keys}, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(done.stdout.splitlines()) == 13, done.stdout
