"""Asks once for every Idempotency-Key: what all faces of the edge publish with."""

import time
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from processors.api.refusals import RETRY_AFTER_S, Refusal
from processors.classify.validate import problems
from schemas.errors import MalformedRecord
from schemas.idempotency import IdempotencyClaim
from schemas.keys import KeyRole
from schemas.requests import InferenceRequest
from streams import clock
from streams.edge.asking import GRACE_S, PUBLISH_WITHIN_S, Asked, Asking
from streams.edge.door import Door
from streams.edge.idempotency import Claims, body_digest, key_of
from streams.edge.lineage import PUBLISHED_WITHIN_S, Known, Lineages
from streams.edge.mailbox import Mailbox, Waiting
from streams.edge.principal import Refused
from streams.runtime import Runtime

_ON_ITS_WAY = timedelta(seconds=2 * PUBLISH_WITHIN_S)
"""So long after a claim its maker may still be publishing."""
_LEFT_ALONE = timedelta(seconds=PUBLISHED_WITHIN_S)
_REPLAYED_WITHIN_S = 5.0


class AskingOnce(Asking):
    """An Asking that heeds the Idempotency-Key. A request comes under its claim's id, which `under_its_claim` sees to."""

    def __init__(self, runtime: Runtime, mailbox: Mailbox, claims: Claims, lineages: Lineages) -> None:
        super().__init__(runtime, mailbox)
        self._claims = claims
        self._lineages = lineages
        self._requests = runtime.serde.of(InferenceRequest)

    async def publish(self, request: InferenceRequest, waiting: Waiting, headers: Mapping[str, str]) -> Asked:
        """Publish, or hand over the answer that there is. Raises Refused, 409 for a request that is not answered yet."""
        return await self._publish(request, waiting, headers, join=False)

    async def publish_or_join(self, request: InferenceRequest, waiting: Waiting, headers: Mapping[str, str]) -> Asked:
        """As `publish`; but a request that stands in the log unanswered is waited for."""
        return await self._publish(request, waiting, headers, join=True)

    async def _publish(self, request: InferenceRequest, waiting: Waiting, headers: Mapping[str, str], *, join: bool) -> Asked:
        # A request that cannot be asked claims nothing.
        if (key := key_of(headers)) is None or problems(request):
            return await self._publish_now(request, waiting, headers)
        try:
            digest = body_digest(self._requests, request)
        except MalformedRecord as error:
            raise Refused(Refusal(413, "request_too_large", str(error))) from error
        claim = self._claims.of(request.tenant, key)
        if claim is None:
            claim = await self._claims.claim(request.tenant, key, request.request_id, digest)
            if claim.request_id == request.request_id:
                return await self._publish_now(request, waiting, headers)
        if claim.body_digest != digest:
            message = "this Idempotency-Key was sent with another request before: use a new key for a new request"
            raise Refused(Refusal(422, "idempotency_key_reused", message))
        if claim.request_id != request.request_id:
            raise _in_flight()  # another process has just claimed it
        known = await self._lineages.find(request.tenant, claim.request_id)
        if known is None:
            _may_be_published(claim)
            return await self._publish_now(request, waiting, headers)
        if known.final is not None:
            waiting.give(known.final)
            return Asked(request, waiting, time.monotonic() + _REPLAYED_WITHIN_S)
        if not join:
            raise _in_flight()
        return Asked(request, waiting, time.monotonic() + _seconds_left(known))

    async def _publish_now(self, request: InferenceRequest, waiting: Waiting, headers: Mapping[str, str]) -> Asked:
        asked = await super().publish(request, waiting, headers)
        self._lineages.remember(asked.request)
        return asked


def under_its_claim(door: Door, claims: Claims, routes: Iterable[BaseRoute], paths: Iterable[str]) -> list[BaseRoute]:
    """The routes; on those of `paths` a POST whose Idempotency-Key was claimed before goes under the claim's id."""
    chosen = frozenset(paths)
    return [_wrapped(door, claims, each) if getattr(each, "path", None) in chosen else each for each in routes]


def _wrapped(door: Door, claims: Claims, route: Any) -> BaseRoute:
    async def handle(http: Request) -> Response:
        if http.method == "POST" and (key := key_of(http.headers)) is not None:
            principal = door.admit(http, KeyRole.PUBLISH)
            if (claim := claims.of(principal.tenant, key)) is not None:
                http.state.request_id = claim.request_id
        answer: Response = await route.endpoint(http)
        return answer

    return Route(route.path, handle, methods=sorted(route.methods - {"HEAD"}), name=route.name)


def _may_be_published(claim: IdempotencyClaim) -> None:
    """Raises Refused while the claim's maker may still publish, and when it is too late for the request to be found."""
    age = clock.now() - claim.made_at
    if age < _ON_ITS_WAY:
        raise _in_flight()
    if age > _LEFT_ALONE:
        message = "this Idempotency-Key was claimed and its request never published, so that nothing was asked: use a new key"
        raise Refused(Refusal(409, "claim_abandoned", message))


def _in_flight() -> Refused:
    message = "the request of this Idempotency-Key is not answered yet: send it again for its answer"
    return Refused(Refusal(409, "in_flight", message, retry_after_s=RETRY_AFTER_S))


def _seconds_left(known: Known) -> float:
    deadline = None if known.request is None else known.request.deadline
    left = 0.0 if deadline is None else (deadline - clock.now()).total_seconds()
    return max(0.0, left) + GRACE_S
