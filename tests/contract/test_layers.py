"""Who may import whom, and where effects may be: `schemas` and `processors` decide, `streams` and the providers act."""

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from streams import topology

ROOT = Path(__file__).parents[2]
PACKAGES = ("schemas", "processors", "streams")
ALLOWED = {"schemas": {"schemas"}, "processors": {"schemas", "processors"}, "streams": set(PACKAGES)}
PURE = [p for package in ("schemas", "processors") for p in sorted((ROOT / package).rglob("*.py")) if "providers" not in p.parts]
ALL = [p for package in PACKAGES for p in sorted((ROOT / package).rglob("*.py"))]

_EFFECTS = {
    "time": "a clock",
    "random": "randomness",
    "secrets": "randomness",
    "asyncio": "waiting",
    "socket": "a socket",
    "subprocess": "a process",
    "threading": "a thread",
    "aiohttp": "a socket",
    "aiokafka": "a socket",
    "redis": "a socket",
}
_CALLS = {"now": "a clock", "today": "a clock", "utcnow": "a clock", "uuid1": "randomness", "uuid4": "randomness"}


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield node.module


def effects(tree: ast.AST) -> Iterator[str]:
    for module in imports(tree):
        if found := _EFFECTS.get(module.split(".")[0]):
            yield f"imports {module}: {found}"
    for node in ast.walk(tree):
        if isinstance(node, ast.Await | ast.AsyncFunctionDef | ast.AsyncFor | ast.AsyncWith):
            yield f"line {node.lineno}: awaits"
        elif isinstance(node, ast.Attribute) and node.attr in {"environ", "getenv"}:
            yield f"line {node.lineno}: reads the environment"
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _CALLS:
            yield f"line {node.lineno}: {_CALLS[node.func.attr]}"


def test_imports_go_down_only() -> None:
    wrong = {
        f"{relative(path)} imports {module}"
        for path in ALL
        for module in imports(ast.parse(path.read_text("utf-8")))
        if module.split(".")[0] in {*PACKAGES, "tests", "bench"} - ALLOWED[relative(path).split("/")[0]]
    }
    assert wrong == set()
    assert len(ALL) > 50, "the walk must meet the packages"


def test_decisions_have_no_clock_no_chance_no_environment_and_do_not_wait() -> None:
    wrong = {f"{relative(path)}: {effect}" for path in PURE for effect in effects(ast.parse(path.read_text("utf-8")))}
    assert wrong == set()
    assert len(PURE) > 25, "the walk must meet the packages"


@pytest.mark.parametrize(
    "source",
    [
        "import time",
        "from random import random",
        "async def f(): ...",
        "x = datetime.now(UTC)",
        "os.environ['A']",
        "uuid.uuid4()",
    ],
)
def test_an_effect_that_is_planted_is_found(source: str) -> None:
    assert list(effects(ast.parse(source)))


def test_the_order_of_the_layers_is_what_import_linter_is_told() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]["contracts"]
    contract = next(contract for contract in contracts if contract["type"] == "layers")
    assert contract["layers"] == list(reversed(PACKAGES))


_TODO = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
_MACHINE = re.compile(r"(?<![\w.])/(?:home|root|Users|work)/\w|pypi\.org|pythonhosted|npmjs|repo\d?\.maven|crates\.io")
_TEXTS = ("*.py", "*.md", "*.yml", "*.yaml", "*.toml", "*.txt", "*.in", "*.avsc", "*.json", "*.lock", "Makefile", "Dockerfile")
_OUTSIDE = {".venv", ".git", ".penstock", "build", "dist", "results", "node_modules"}


def texts() -> Iterator[Path]:
    for pattern in _TEXTS:
        for path in ROOT.rglob(pattern):
            if not _OUTSIDE.intersection(path.relative_to(ROOT).parts) and path != Path(__file__):
                yield path


def test_no_text_names_a_machines_paths_a_registrys_host_or_work_left_undone() -> None:
    found = [
        f"{relative(path)}:{number}: {line.strip()[:80]}"
        for path in texts()
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if _MACHINE.search(line) or _TODO.search(line)
    ]
    assert found == []


def test_roles_of_the_topology_are_the_roles_that_run() -> None:
    from streams.roles import _MODULES, module_of  # noqa: PLC0415 - the private table is what this compares with

    assert {role.partition(":")[0] for role in topology.roles()} == set(_MODULES)
    for role in topology.roles():
        module = ROOT / (module_of(role).replace(".", "/") + ".py")
        assert module.is_file(), f"{role} has no module"
        assert re.search(r"^async def run\(", module.read_text("utf-8"), re.MULTILINE), f"{role}: no run()"
