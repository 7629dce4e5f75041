"""A program that publishes and consumes loads no decision of the pipeline: neither when it imports the client nor later."""

import ast
import subprocess
import sys
from pathlib import Path

from tests.contract.test_layers import imports

ROOT = Path(__file__).parents[3]


def files_of(module: str) -> list[Path]:
    """The files that an import of the module, or of a name in it, runs: its own and its packages'."""
    parts = module.split(".")
    found = [ROOT.joinpath(*parts[:depth], "__init__.py") for depth in range(1, len(parts) + 1)]
    return [path for path in (*found, ROOT.joinpath(*parts).with_suffix(".py")) if path.is_file()]


def reached(start: str) -> set[str]:
    """Every module that is imported on the way, inside functions too."""
    met: set[str] = set()
    waiting = [start]
    while waiting:
        module = waiting.pop()
        if module in met:
            continue
        met.add(module)
        for path in files_of(module):
            tree = ast.parse(path.read_text("utf-8"))
            names = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module}
            # `from streams import topics` imports a module, not a name of one.
            inner = {
                f"{node.module}.{alias.name}"
                for node in ast.walk(tree)
                if isinstance(node, ast.ImportFrom) and node.module
                for alias in node.names
                if files_of(f"{node.module}.{alias.name}") != files_of(node.module)
            }
            waiting += [
                name for name in {*imports(tree), *names, *inner} if name.split(".")[0] in {"schemas", "streams", "processors"}
            ]
    return met


def test_no_import_leads_to_the_processors() -> None:
    found = {name for module in ("streams.client", *_own()) for name in reached(module)}
    assert {name for name in found if name.startswith("processors")} == set()
    assert "streams.publisher" in found, "the walk must meet what is imported"
    assert "streams.registry" in found, "imports inside functions count"


def test_the_walk_finds_what_is_there() -> None:
    assert "processors.route.catalogue" in reached("streams.runtime")


def test_importing_it_loads_no_processors() -> None:
    code = "import sys, streams.client; print(*(name for name in sys.modules if name.startswith('processors')))"
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    assert ran.stdout.split() == []


def _own() -> list[str]:
    return [f"streams.client.{path.stem}" for path in (ROOT / "streams" / "client").glob("*.py") if path.stem != "__init__"]
