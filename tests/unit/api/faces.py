"""The edge's HTTP faces over a log that is played: what comes of each request stands beforehand."""

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from starlette.testclient import TestClient

from processors.api.refusals import Refusal
from schemas.deployments import Deployment, DeploymentCatalogue
from schemas.keys import KeyRole
from schemas.outcomes import InferenceResponse
from schemas.requests import InferenceRequest
from streams.edge.anthropic import Anthropic
from streams.edge.app import edge_app
from streams.edge.door import Door
from streams.edge.mailbox import Piece
from streams.edge.openai import OpenAi
from streams.edge.principal import Principal, Refused
from streams.edge.responses import Responses
from tests.unit.api.made import response

MINI = Deployment("openai/gpt-4o-mini", "openai", "gpt-4o-mini", requests_per_minute=60, tokens_per_minute=9_000)
CATALOGUE = DeploymentCatalogue("test", {}, (MINI,), {})
KEYS = {"all": (KeyRole.PUBLISH, KeyRole.READ), "reader": (KeyRole.READ,)}


class Keys:
    """An Authority that knows two keys of one tenant."""

    def principal(self, credential: str) -> Principal | None:
        roles = KEYS.get(credential)
        return None if roles is None else Principal("acme", frozenset(roles), credential)


@dataclass(slots=True)
class Played:
    """Takes the place of Asking and of what it has asked: `pieces` are what comes of any request, the final response last."""

    pieces_given: tuple[Piece, ...] = (response(),)
    asked: list[InferenceRequest] = field(default_factory=list)

    @contextmanager
    def waiting(self, request: InferenceRequest) -> Iterator[None]:
        yield

    async def publish(self, request: InferenceRequest, _waiting: None, _headers: Mapping[str, str]) -> "Played":
        self.asked.append(request)
        return self

    async def final(self) -> InferenceResponse:
        final = self.pieces_given[-1]
        if not isinstance(final, InferenceResponse):
            raise Refused(Refusal(504, "expired", "no answer came", retry_after_s=5))
        return final

    async def pieces(self) -> AsyncIterator[Piece]:
        for piece in self.pieces_given:
            yield piece


def app(played: Played) -> Any:
    door: Any = Door(SimpleNamespace(catalogue=CATALOGUE), Keys(), None, played, None)  # type: ignore[arg-type]
    routes = [*OpenAi(door).routes(), *Anthropic(door).routes(), *Responses(door).routes()]
    return edge_app(door, routes)


def client(played: Played, key: str = "all") -> TestClient:
    return TestClient(app(played), headers={"authorization": f"Bearer {key}"}, raise_server_exceptions=False)
