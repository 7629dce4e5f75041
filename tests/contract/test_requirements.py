"""requirements/*.txt pin what pyproject.toml asks for, every package by its hashes, and name no address to fetch it from."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
FILES = ("base", "build", "dev", "minilm")
_PIN = re.compile(r"^(?P<name>[a-z0-9][a-z0-9._-]*)==(?P<version>[^\s;]+)(?: ; (?P<marker>[^\\]+?))? \\$")
_HASH = re.compile(r"^    --hash=sha256:[0-9a-f]{64}( \\)?$")


def pins(name: str) -> dict[str, Version]:
    """Package by package, from a file in which every line is a comment, a pin or a hash of the pin above it."""
    found: dict[str, Version] = {}
    hashes = 0
    for line in (ROOT / "requirements" / f"{name}.txt").read_text("ascii").splitlines():
        if line.startswith("#"):
            continue
        if pin := _PIN.match(line):
            assert hashes or not found, f"{list(found)[-1]} has no hash"
            hashes = 0
            found[canonicalize_name(pin["name"])] = Version(pin["version"])
        else:
            assert _HASH.match(line), f"{name}.txt: {line!r} is neither a pin nor a hash"
            hashes += 1
    assert hashes
    return found


PINS = {name: pins(name) for name in FILES}


def unmet(wanted: list[str], pinned: dict[str, Version]) -> list[str]:
    requirements = [Requirement(text) for text in wanted]
    return [
        str(r)
        for r in requirements
        if canonicalize_name(r.name) not in pinned
        or not r.specifier.contains(pinned[canonicalize_name(r.name)], prereleases=True)
    ]


def test_pins_meet_what_the_project_asks_for() -> None:
    project = PROJECT["project"]
    assert unmet(project["dependencies"], PINS["base"]) == []
    assert unmet([*project["dependencies"], *project["optional-dependencies"]["dev"]], PINS["dev"]) == []
    assert unmet([*project["dependencies"], *project["optional-dependencies"]["minilm"]], PINS["minilm"]) == []
    assert unmet(PROJECT["build-system"]["requires"], PINS["build"]) == []


def test_a_pin_that_does_not_fit_is_found() -> None:
    assert unmet(["aiohttp>=3.12"], {"aiohttp": Version("3.11")}) == ["aiohttp>=3.12"]
    assert unmet(["aiohttp>=3.12"], {}) == ["aiohttp>=3.12"]


def test_the_file_for_builds_asks_for_what_the_project_does() -> None:
    asked = [line for line in (ROOT / "requirements" / "build.in").read_text("utf-8").splitlines() if not line.startswith("#")]
    assert set(PROJECT["build-system"]["requires"]) <= set(asked)


def test_the_same_package_has_the_same_version_everywhere() -> None:
    for package, version in PINS["base"].items():
        assert PINS["dev"][package] == version
        assert PINS["minilm"][package] == version
    for package, version in PINS["build"].items():
        assert PINS["dev"].get(package, version) == version


@pytest.mark.parametrize("name", FILES)
def test_no_address_stands_in_a_requirements_file(name: str) -> None:
    text = (ROOT / "requirements" / f"{name}.txt").read_text("ascii")
    assert not re.search(r"://|--index|--extra-index|--find-links|--trusted-host|^-e|\.whl|\.tar|\s/", text, re.MULTILINE)


def test_pythons_are_those_that_the_makefile_accepts() -> None:
    assert PROJECT["project"]["requires-python"] == ">=3.11"
    assert "sys.version_info < (3, 11)" in (ROOT / "Makefile").read_text("utf-8")
