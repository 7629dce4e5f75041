import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.integration.cli.command import Penstock, running_up
from tests.integration.edge.examples import RECIPES, Examples
from tests.integration.edge.issuer import Issuer


@dataclass(slots=True)
class Edge:
    """A stack with two edge processes on one port, and keys to it."""

    url: str
    data_dir: Path
    penstock: Penstock
    _keys: dict[tuple[str, ...], str] = field(default_factory=dict)

    def key(self, tenant: str, *roles: str) -> str:
        """A key of the tenant with these roles (publish and read, if none is named); the same one for the same wish."""
        if (wish := (tenant, *roles)) not in self._keys:
            chosen = [part for role in roles for part in ("--role", role)]
            done = self.penstock("keys", "create", "--tenant", tenant, *chosen, "--json")
            assert done.code == 0, done.err
            self._keys[wish] = json.loads(done.out)["key"]
            self._until_known(self._keys[wish])
        return self._keys[wish]

    def client(self, tenant: str = "acme", *roles: str, timeout: float = 30.0) -> httpx.Client:
        return httpx.Client(base_url=self.url, headers={"authorization": f"Bearer {self.key(tenant, *roles)}"}, timeout=timeout)

    def pids(self) -> list[int]:
        """The processes of the edge that run now."""
        return [part["pid"] for name, part in self._parts().items() if name.startswith("edge-")]

    def part(self, name: str) -> dict[str, Any]:
        """What `stack.json` says of one part now."""
        return self._parts()[name]

    def _parts(self) -> dict[str, Any]:
        return json.loads((self.data_dir / "stack.json").read_text())["parts"]

    def _until_known(self, key: str) -> None:
        """Every process follows the keys by itself: wait until none refuses this one."""
        give_up, known = time.monotonic() + 60, 0
        while known < 8:
            assert time.monotonic() < give_up, "the edge does not accept a key that was created"
            answer = httpx.get(f"{self.url}/v1/models", headers={"authorization": f"Bearer {key}"})
            known = known + 1 if answer.status_code != 401 else 0


@pytest.fixture(scope="package", autouse=True)
def examples(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Examples]:
    """The examples in other languages: their building begins with the package's first test, if a test of them will come."""
    coming = {item.name for item in request.session.items if item.path.name == "test_examples.py"}
    wanted = [name for name in RECIPES if any(f"[{name}]" in each for each in coming)]
    building = Examples(tmp_path_factory.mktemp("examples"), wanted)
    yield building
    building.close()


@pytest.fixture(scope="package")
def issuer() -> Iterator[Issuer]:
    """Whose tokens the edge takes beside its keys."""
    with Issuer.serving() as serving:
        yield serving


@pytest.fixture(scope="package")
def edge(tmp_path_factory: pytest.TempPathFactory, issuer: Issuer) -> Iterator[Edge]:
    cwd = tmp_path_factory.mktemp("edge")
    data_dir, log = cwd / "data", cwd / "up.log"
    webhooks = {"WEBHOOKS_ALLOW_INSECURE_LOCAL": "true", "WEBHOOKS_RETRY_S": ",".join(["0.2"] * 5 + ["1"] * 60)}
    variables = {**webhooks, **issuer.settings}
    (cwd / ".env").write_text("".join(f"PENSTOCK_{name}={value}\n" for name, value in variables.items()))
    with running_up(cwd, data_dir, log, "--workers", "edge=2"):
        parts = json.loads((data_dir / "stack.json").read_text())["parts"]
        yield Edge(parts["edge-0"]["address"], data_dir, Penstock(cwd, ("--data-dir", str(data_dir))))
