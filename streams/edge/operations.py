"""What an operator asks an edge: which providers there are, how they fare, whether one answers; and the metrics."""

import time
from dataclasses import replace
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, generate_latest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from processors.api.refusals import Refusal
from processors.route.catalogue import AUTO
from schemas.deployments import Deployment, Provider
from schemas.keys import KeyRole
from schemas.outcomes import InferenceResponse, ResponseStatus
from schemas.requests import CacheMode, CachePolicy, InferenceRequest, Message, Operation, Preferences, Sampling
from streams import clock, money
from streams.agents.health_view import HealthView
from streams.decoding import dumps
from streams.edge.asking import TIMEOUT_HEADER
from streams.edge.body import read_optional_object
from streams.edge.door import Door
from streams.edge.operations_following import OnDemand
from streams.edge.operations_health import provider_told
from streams.edge.principal import Refused

_EVERYBODY = (KeyRole.PUBLISH, KeyRole.READ, KeyRole.ADMIN)
_TEST_WITHIN_S = 30.0
_TEST_TOKENS = 16
_TEST_PROMPT = "Answer with the word: ok"


class Operations:
    """The handlers."""

    def __init__(self, door: Door, health: OnDemand[HealthView]) -> None:
        self._door = door
        self._health = health

    def routes(self) -> list[Route]:
        return [
            Route("/metrics", self._metrics),
            Route("/v1/providers", self._providers),
            Route("/v1/providers/{provider}/health", self._provider_health),
            Route("/v1/providers/{provider}/test", self._test, methods=["POST"]),
        ]

    async def _metrics(self, http: Request) -> Response:
        self._door.admit(http, KeyRole.ADMIN)
        return Response(generate_latest(REGISTRY), headers={"content-type": CONTENT_TYPE_LATEST})

    async def _providers(self, http: Request) -> Response:
        self._door.admit(http, *_EVERYBODY)
        known, now = (await self._health.get()).deployments, clock.now()
        catalogue = self._door.runtime.catalogue
        providers = [
            {
                "name": provider.name,
                "kind": provider.kind.value,
                "status": provider_told(deployments, known, now, whole=False)["status"],
                "deployments": [_described(each) for each in deployments],
            }
            for provider in catalogue.providers.values()
            if (deployments := catalogue.of_provider(provider.name))
        ]
        return _json({"catalogue": catalogue.version, "providers": providers})

    async def _provider_health(self, http: Request) -> Response:
        principal = self._door.admit(http, *_EVERYBODY)
        provider, deployments = self._named(http)
        known = (await self._health.get()).deployments
        whole = principal.may(KeyRole.ADMIN)
        return _json({"provider": provider.name, **provider_told(deployments, known, clock.now(), whole=whole)})

    async def _test(self, http: Request) -> Response:
        principal = self._door.admit(http, KeyRole.ADMIN)
        provider, deployments = self._named(http)
        wanted = _wanted(await read_optional_object(http, most=10_000), provider, deployments)
        request = replace(wanted, request_id=self._door.request_id(http), tenant=principal.tenant)
        begun_s = time.monotonic()
        with self._door.asking.waiting(request) as waiting:
            patience = {TIMEOUT_HEADER: http.headers.get(TIMEOUT_HEADER, f"{_TEST_WITHIN_S:g}")}
            asked = await self._door.asking.publish(request, waiting, patience)
            try:
                final: InferenceResponse | None = await asked.final()
            except Refused:
                final = None
        return _json(_came(provider.name, request.request_id, final, (time.monotonic() - begun_s) * 1000))

    def _named(self, http: Request) -> tuple[Provider, tuple[Deployment, ...]]:
        """The provider of the path, and its deployments. Raises Refused, 404."""
        catalogue, name = self._door.runtime.catalogue, http.path_params["provider"]
        deployments = catalogue.of_provider(name)
        if (provider := catalogue.providers.get(name)) is None or not deployments:
            message = f"there is no provider {name[:100]!r} with a deployment; `GET /v1/providers` lists them"
            raise Refused(Refusal(404, "unknown_provider", message))
        return provider, deployments


def _wanted(body: dict[str, Any], provider: Provider, deployments: tuple[Deployment, ...]) -> InferenceRequest:
    """A request of a few tokens that no cache answers, pinned to the provider, or to the deployment that the body names."""
    if unknown := body.keys() - {"deployment"}:
        raise Refused(Refusal(400, "invalid_request", f"there is no field {min(unknown)[:60]!r}; there is `deployment`"))
    named = body.get("deployment")
    chosen = deployments if named is None else tuple(each for each in deployments if each.name == named)
    if not chosen:
        known = ", ".join(each.name for each in deployments)
        raise Refused(Refusal(404, "unknown_deployment", f"{provider.name} has no such deployment; it has {known}", "deployment"))
    plain = InferenceRequest(
        "",
        "",
        AUTO if named is None else named,
        sampling=Sampling(max_output_tokens=_TEST_TOKENS),
        preferences=Preferences(provider=provider.name),
        cache=CachePolicy(CacheMode.OFF),
    )
    offered = {operation for each in chosen for operation in each.operations}
    if Operation.CHAT in offered:
        return replace(plain, messages=(Message("user", _TEST_PROMPT),))
    if Operation.EMBEDDINGS in offered:
        return replace(plain, operation=Operation.EMBEDDINGS, input=(_TEST_PROMPT,), sampling=Sampling())
    raise Refused(Refusal(422, "not_testable", f"{provider.name} offers neither chat nor embeddings: there is no small request"))


def _came(provider: str, request_id: str, final: InferenceResponse | None, latency_ms: float) -> dict[str, Any]:
    """What came of the test."""
    if final is None:
        error = {"kind": "expired", "message": "no final response came before the deadline: is a worker of the provider running?"}
        return {"provider": provider, "request_id": request_id, "ok": False, "latency_ms": round(latency_ms), "error": error}
    return {
        "provider": provider,
        "request_id": request_id,
        "ok": final.status is ResponseStatus.OK,
        "status": final.status,
        "deployment": final.deployment,
        "response_model": final.response_model,
        "latency_ms": round(latency_ms),
        "attempts": final.attempts,
        "usage": final.usage,
        "cost_nanousd": final.cost_nanousd,
        "cost": money.cost(final.cost_nanousd),
        "error": final.error,
    }


def _described(deployment: Deployment) -> dict[str, Any]:
    return {
        "name": deployment.name,
        "model": deployment.model,
        "operations": sorted(deployment.operations),
        "context_tokens": deployment.context_tokens,
        "max_output_tokens": deployment.max_output_tokens,
        "tools": deployment.tools,
        "vision": deployment.vision,
        "json_mode": deployment.json_mode,
        "json_schema": deployment.json_schema,
        "requests_per_minute": deployment.requests_per_minute,
        "tokens_per_minute": deployment.tokens_per_minute,
        "environments": sorted(deployment.environments),
    }


def _json(value: Any) -> Response:
    return Response(dumps(value), media_type="application/json")
