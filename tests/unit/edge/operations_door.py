"""A door for the operators' paths: keys that say whose they are and what they may, a catalogue of two providers, no log."""

from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

from starlette.routing import BaseRoute
from starlette.testclient import TestClient

from schemas.deployments import Deployment, DeploymentCatalogue, Provider, ProviderKind
from schemas.keys import KeyRole
from schemas.requests import Operation
from schemas.serde import Serde
from streams.edge.app import edge_app
from streams.edge.operations_headers import Guarded
from streams.edge.principal import Principal, admitted
from streams.settings import Settings

CATALOGUE = DeploymentCatalogue(
    "v7",
    {name: Provider(name, ProviderKind.OPENAI, f"http://{name}") for name in ("openai", "voyage", "unused")},
    (
        Deployment("openai/small", "openai", "small"),
        Deployment("openai/large", "openai", "large"),
        Deployment("voyage/vectors", "voyage", "vectors", operations=frozenset({Operation.EMBEDDINGS})),
    ),
    {},
)


class Named:
    """An authority whose keys read `tenant` or `tenant:role,role`; without roles they may publish and read."""

    def principal(self, credential: str) -> Principal | None:
        tenant, _, words = credential.partition(":")
        roles = [KeyRole(word) for word in words.split(",")] if words else [KeyRole.PUBLISH, KeyRole.READ]
        return Principal(tenant, frozenset(roles), credential) if tenant else None


def door(**parts: Any) -> Any:
    runtime = SimpleNamespace(settings=Settings(_env_file=None), serde=Serde(), catalogue=CATALOGUE)
    made = SimpleNamespace(runtime=runtime, authority=Named(), mailbox=None, asking=None)
    vars(made).update(parts)
    made.admit = lambda http, *roles: admitted(made.authority, http.headers, *roles)
    made.request_id = lambda http: http.state.request_id
    return made


class Ready:
    """A follower on demand that has caught up."""

    def __init__(self, follower: Any) -> None:
        self.follower = follower

    async def get(self) -> Any:
        return self.follower


def client(at: Any, routes: Iterable[BaseRoute], key: str = "acme") -> TestClient:
    app: Any = Guarded(edge_app(at, routes))
    return TestClient(app, headers={"authorization": f"Bearer {key}"} if key else {}, raise_server_exceptions=False)
