"""`/v1/config/routing`: the policies that requests are routed by, shown, and changed while everything runs."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import orjson
import structlog
from aiokafka.errors import KafkaError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from processors.api.refusals import RETRY_AFTER_S, Refusal
from schemas.configuration import RoutingConfigured
from schemas.errors import MalformedRecord, SettingsError
from schemas.keys import KeyRole
from schemas.policies import Routing, Scorer
from streams import clock, topics
from streams.agents.routing_in_force import KEY, RoutingInForce, routing_of
from streams.decoding import dumps
from streams.edge.asking import PUBLISH_WITHIN_S
from streams.edge.body import read_object
from streams.edge.config_shown import shown
from streams.edge.door import Door
from streams.edge.operations_following import OnDemand
from streams.edge.principal import Refused
from streams.ids import new_id
from streams.publisher import Outgoing
from streams.settings import Settings

if TYPE_CHECKING:
    from processors.route.gains import GainPredictor

log = structlog.get_logger(__name__)

ROUTING = "/v1/config/routing"
_MOST_BYTES = 256 * 1024
_SEEN_WITHIN_S = 5.0
_LOOK_S = 0.05


class Config:
    """The handlers, for the role `admin`. Of two who change it at once the later holds, and both are told which does."""

    def __init__(self, door: Door, in_force: OnDemand[RoutingInForce]) -> None:
        self._door = door
        self._in_force = in_force
        self._codec = door.runtime.serde.of(RoutingConfigured)

    def routes(self) -> list[Route]:
        return [
            Route(ROUTING, self._show, methods=["GET"]),
            Route(ROUTING, self._put, methods=["PUT"]),
            Route(ROUTING, self._withdraw, methods=["DELETE"]),
        ]

    async def _show(self, http: Request) -> Response:
        self._door.admit(http, KeyRole.ADMIN)
        return self._shown(await self._in_force.get())

    async def _put(self, http: Request) -> Response:
        principal = self._door.admit(http, KeyRole.ADMIN)
        text = orjson.dumps(await read_object(http, most=_MOST_BYTES)).decode()
        in_force = await self._in_force.get()
        warnings = await asyncio.to_thread(self._checked, text)
        record = RoutingConfigured(new_id("cfg"), text, clock.now(), f"{principal.tenant}/{principal.key_id}")
        try:
            value = self._codec.encode(record)
        except MalformedRecord as error:
            raise Refused(Refusal(413, "request_too_large", str(error))) from error
        await self._publish(value)
        await _until(in_force, lambda now: now is not None and now.configured_at >= record.configured_at)
        log.info("routing_configured", version=record.version, by=record.configured_by)
        return self._shown(in_force, warnings)

    async def _withdraw(self, http: Request) -> Response:
        principal = self._door.admit(http, KeyRole.ADMIN)
        in_force = await self._in_force.get()
        before = in_force.configured
        await self._publish(None)
        await _until(in_force, lambda now: now is None or now != before)
        log.info("routing_withdrawn", by=f"{principal.tenant}/{principal.key_id}")
        return self._shown(in_force)

    def _checked(self, text: str) -> list[str]:
        """What an operator should know of a routing that can be used. Raises Refused, 422, for one that cannot."""
        # numpy and the price list come with them, and few ever change this
        from processors.route.plan import blind_selectors, plan  # noqa: PLC0415
        from streams.prices import load_prices  # noqa: PLC0415

        catalogue, settings = self._door.runtime.catalogue, self._door.runtime.settings
        try:
            routing = routing_of(text, "the body")
            prices = load_prices(settings, catalogue)
            plan(routing, catalogue.deployments, prices, environment=settings.environment, gains=_gains(settings, routing))
        except SettingsError as error:
            raise Refused(Refusal(422, "unusable_routing", str(error))) from error
        return [
            f"the policy {policy} names {', '.join(selectors)}: no deployment, model or provider of the catalogue"
            for policy, selectors in blind_selectors(routing, catalogue.deployments).items()
        ]

    async def _publish(self, value: bytes | None) -> None:
        try:
            async with asyncio.timeout(PUBLISH_WITHIN_S):
                await self._door.runtime.publisher.send_all([Outgoing(topics.CONFIG, KEY, value)])
        except (KafkaError, TimeoutError) as error:
            message = "the log did not take the change in time; it may still come to hold: read what is in force, and try again"
            raise Refused(Refusal(503, "log_unavailable", message, retry_after_s=RETRY_AFTER_S)) from error

    def _shown(self, in_force: RoutingInForce, warnings: list[str] | None = None) -> Response:
        runtime = self._door.runtime
        told: dict[str, Any] = shown(in_force.routing, in_force.configured, runtime.catalogue, runtime.settings)
        if warnings is not None:
            told["warnings"] = warnings
        return Response(dumps(told), media_type="application/json")


async def _until(in_force: RoutingInForce, holds: Callable[[RoutingConfigured | None], bool]) -> None:
    """Until this process has read the change back, or a later one. Raises Refused after five seconds."""
    try:
        async with asyncio.timeout(_SEEN_WITHIN_S):
            while not holds(in_force.configured):  # noqa: ASYNC110 - it tells nobody
                await asyncio.sleep(_LOOK_S)
    except TimeoutError:
        message = "the change stands in the log and was not read back in time: read what is in force"
        raise Refused(Refusal(503, "log_unavailable", message, retry_after_s=RETRY_AFTER_S)) from None


def _gains(settings: Settings, routing: Routing) -> "GainPredictor | None":
    """As intake loads it, for policies that ask for it; the model of embeddings is loaded for them alone."""
    from processors.route.plan import policies_of  # noqa: PLC0415

    if not any(scorer is Scorer.QUALITY for policy in policies_of(routing) for scorer, _ in policy.scorers):
        return None
    from streams.agents.routing import load_gains  # noqa: PLC0415
    from streams.embedding.wordllama import WordLlama  # noqa: PLC0415

    return load_gains(settings, routing, WordLlama().name)
