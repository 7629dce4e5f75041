"""The routing that holds now: the operator's file's, until ai.config has another. Follows the topic, whole in every process."""

import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import orjson
import structlog

from processors.route.routing_file import RoutingFile, resolve
from processors.route.strict import validated
from schemas.configuration import RoutingConfigured
from schemas.errors import RecordError, SettingsError
from schemas.policies import Routing
from streams import topics
from streams.follower import Follower
from streams.runtime import Runtime

log = structlog.get_logger(__name__)

KEY = "routing"
"""A change holds everywhere within a second."""

Use = Callable[[Routing], None]
"""Takes what is to be routed by. Raises SettingsError when it cannot: then what was before stays in force."""


class RoutingInForce:
    """`routing` is what holds, `configured` the record that it comes of: None while it is the file's.

    What cannot be used here is told in the log, and changes nothing.
    """

    def __init__(self, runtime: Runtime, use: Use | None = None) -> None:
        self._codec = runtime.serde.of(RoutingConfigured)
        self._file = runtime.catalogue.routing
        self._use = use
        self._read: RoutingConfigured | None = None
        self.routing = self._file
        self.configured: RoutingConfigured | None = None
        self._follower = Follower(
            runtime,
            "routing",
            {topics.CONFIG: None},
            self._apply,
            started_over=self._start_over,
            batch_done=self._settle,
            gather_ms=None,
        )

    @property
    def caught_up(self) -> bool:
        return self._follower.caught_up.is_set()

    @contextlib.asynccontextmanager
    async def following(self) -> AsyncIterator["RoutingInForce"]:
        """Follow in the background; in the body it holds what stood in the topic, unless Kafka took over five seconds."""
        async with self._follower.following():
            yield self

    def _start_over(self) -> None:
        self._read = None

    def _apply(self, record: Any) -> None:
        if record.key != KEY.encode():
            return
        try:
            self._read = None if record.value is None else self._codec.decode(record.value)
        except RecordError as error:
            log.warning("routing_unreadable", offset=record.offset, error=str(error), next_step="configure the routing again")

    def _settle(self) -> None:
        """Put the last record in force. Those before it were never asked for by anybody."""
        if self._read == self.configured:
            return
        version = None if self._read is None else self._read.version
        try:
            routing = self._file if self._read is None else routing_of(self._read.routing_json)
            if self._use is not None:
                self._use(routing)
        except SettingsError as error:
            log.warning("routing_refused", version=version, error=str(error), next_step="correct it: PUT /v1/config/routing")
            return
        self.routing, self.configured = routing, self._read
        log.info("routing_in_force", version=version or "the file's")


def routing_of(text: str, source: str = "the configured routing") -> Routing:
    """The policies of the section's JSON. Raises SettingsError, which names the key and what to do."""
    try:
        content = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise SettingsError(f"{source} is no JSON: {error.msg} at character {error.pos}") from error
    return resolve(validated(RoutingFile, content, source), source=source)
