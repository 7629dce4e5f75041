"""The wheel: three packages, the schemas and defaults inside them, and nothing else."""

import email
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = {"schemas", "processors", "streams"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """Built as `pip install .` builds it, without isolation: requirements/build.txt is installed with the tests."""
    out = tmp_path_factory.mktemp("wheel")
    built = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(out)],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert built.returncode == 0, f"{built.stderr}\n`make install-dev` installs what builds need"
    (path,) = out.glob("*.whl")
    assert path.name == "penstock-0.1.0-py3-none-any.whl"
    return zipfile.ZipFile(path)


def test_it_holds_exactly_the_three_packages(wheel: zipfile.ZipFile) -> None:
    assert {name.split("/")[0] for name in wheel.namelist()} == {*PACKAGES, "penstock-0.1.0.dist-info"}
    assert not [name for name in wheel.namelist() if "__pycache__" in name or name.endswith((".pyc", ".env"))]


def test_every_file_of_the_packages_is_inside(wheel: zipfile.ZipFile) -> None:
    """Schemas, defaults and lock files among them: they are read at run time."""
    here = {
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    inside = {name for name in wheel.namelist() if name.split("/")[0] in PACKAGES}
    assert inside == here
    assert "schemas/avro/InferenceRequest.v1.avsc" in inside
    assert "streams/defaults/deployments.yaml" in inside
    assert "streams/embedded/kafka_jars.lock" in inside


def test_it_brings_the_command_the_licence_and_its_requirements(wheel: zipfile.ZipFile) -> None:
    info = "penstock-0.1.0.dist-info"
    assert "penstock = streams.cli.main:main" in wheel.read(f"{info}/entry_points.txt").decode()
    assert b"Apache License" in wheel.read(f"{info}/licenses/LICENSE")
    metadata = email.message_from_bytes(wheel.read(f"{info}/METADATA"))
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Requires-Python"] == ">=3.11"
    assert any(requirement.startswith("faust-streaming==0.15.3") for requirement in metadata.get_all("Requires-Dist", []))


def test_it_works_where_there_is_no_checkout(wheel: zipfile.ZipFile, tmp_path: Path) -> None:
    """The packages as the wheel has them, alone on the path, find their schemas and defaults."""
    wheel.extractall(tmp_path / "site")
    code = (
        "import schemas, sys; from schemas.serde import Serde; from streams.catalogue import load_catalogue; "
        "from streams.settings import Settings; Serde(); "
        "print(schemas.__file__); print(len(load_catalogue(Settings(_env_file=None)).deployments))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path, env={"PYTHONPATH": str(tmp_path / "site"), "PATH": "/usr/bin:/bin"},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    where, deployments = ran.stdout.split()
    assert Path(where).is_relative_to(tmp_path / "site")
    assert int(deployments) > 0
