"""The role `webhooks`: a member of its consumer group, which shares out the partitions of responses and of deliveries."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from datetime import timedelta

import structlog
from aiokafka.errors import KafkaError

from processors.webhooks.decide import Pace, waits_of
from streams.edge.lineage_log import LogReading
from streams.runtime import Runtime
from streams.stores.secret import key_secret
from streams.webhooks.desk import Desk
from streams.webhooks.endpoints import Endpoints
from streams.webhooks.guard import Resolver, guard_of
from streams.webhooks.membership import Membership
from streams.webhooks.sending import Sender

log = structlog.get_logger(__name__)

_REJOIN_FIRST_S = 0.2
_REJOIN_CAP_S = 5.0
_QUIET_S = 30.0


async def run(runtime: Runtime, stop: asyncio.Event, ready: Callable[[], None]) -> None:
    """Deliver until `stop`. Errors of Kafka end a membership, not the process; any other error ends the process."""
    pause_s, loop = _REJOIN_FIRST_S, asyncio.get_running_loop()
    async with open_desk(runtime) as desk:
        while not stop.is_set():
            joined_at = loop.time()
            try:
                await Membership(desk).run(stop, ready)
            except KafkaError as error:
                if loop.time() - joined_at > _QUIET_S:
                    pause_s = _REJOIN_FIRST_S
                log.warning("webhooks_rejoin", error=repr(error), pause_s=pause_s)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), pause_s)
                pause_s = min(pause_s * 2, _REJOIN_CAP_S)


@contextlib.asynccontextmanager
async def open_desk(runtime: Runtime) -> AsyncIterator[Desk]:
    """What the role works with. Raises SettingsError for a setting that cannot work."""
    settings = runtime.settings
    pace = Pace(waits_of(settings.webhooks_retry_s), timedelta(seconds=settings.webhooks_disable_after_s))
    with contextlib.closing(Resolver()) as resolver:
        sender = Sender(guard_of(settings, resolver), key_secret(settings))
        async with Endpoints(runtime).following() as endpoints, LogReading(runtime).open() as reading:
            yield Desk(runtime, endpoints, sender, reading, pace)
