"""`/health/live` and `/health/ready`: for balancers and supervisors, without a key. They tell nothing but yes and no."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol, runtime_checkable

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

Check = Callable[[], Awaitable[bool]]


@runtime_checkable
class CatchesUp(Protocol):
    """What follows the log, and says whether it has read what stood there when it began."""

    @property
    def caught_up(self) -> bool: ...


class HealthPaths:
    """`checks` are all to hold before an edge should be sent requests."""

    def __init__(self, checks: Mapping[str, Check]) -> None:
        self._checks = checks

    def routes(self) -> list[Route]:
        return [Route("/health/live", self._live), Route("/health/ready", self._ready)]

    async def _live(self, _: Request) -> Response:
        return JSONResponse({"status": "alive"}, headers=_NOT_KEPT)

    async def _ready(self, _: Request) -> Response:
        checks = {name: await check() for name, check in self._checks.items()}
        ready = all(checks.values())
        body = {"status": "ready" if ready else "not_ready", "checks": checks}
        return JSONResponse(body, 200 if ready else 503, headers=_NOT_KEPT)


def caught_up(follower: object) -> Check:
    """Whether it has caught up; what follows nothing has nothing to catch up with."""

    async def check() -> bool:
        return not isinstance(follower, CatchesUp) or follower.caught_up

    return check


_NOT_KEPT = {"cache-control": "no-store"}
