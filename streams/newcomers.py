"""Schema ids that a registry was given after this process started.

A process knows the ids that the registry has for its subjects when it starts. An id that is registered later, by a newer version
of us or by a client, is learnt when its first record arrives. While the registry is away, known ids do, and a new one waits.
"""

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

import structlog

from schemas.catalogue import Catalogue
from schemas.errors import RecordError, SettingsError
from schemas.serde import schema_id_of
from streams.settings import Settings

if TYPE_CHECKING:
    from streams.registry import Registry

log = structlog.get_logger(__name__)

_ASK_AGAIN_S = 30.0
_MOST_UNKNOWN = 10_000


class Newcomers:
    """Makes schema ids known that were registered after this process started. Without a registry it does nothing."""

    def __init__(self, catalogue: Catalogue, settings: Settings) -> None:
        self._catalogue = catalogue
        self._registry = None if settings.schema_registry_url is None else _registry(settings)
        self._nobodys: dict[int, float] = {}

    def unmet(self, value: bytes | None) -> int | None:
        """The schema id of a value that the registry is still to be asked about; None when there is none to ask about."""
        if self._registry is None:
            return None
        try:
            schema_id = schema_id_of(value)
        except RecordError:
            return None
        if self._catalogue.knows(schema_id) or self._nobodys.get(schema_id, 0.0) > time.monotonic():
            return None
        return schema_id

    async def meet(self, values: Iterable[bytes | None]) -> None:
        """Return when each value's schema is known, or known to be nobody's. Waits for as long as the registry is away."""
        for schema_id in {unmet for value in values if (unmet := self.unmet(value)) is not None}:
            while not await self._asked(schema_id):
                log.warning("schema_awaited", schema_id=schema_id, next_step="its records wait; check the schema registry")

    async def _asked(self, schema_id: int) -> bool:
        assert self._registry is not None  # noqa: S101 - nothing is unmet without one
        try:
            learnt = await self._registry.learn(self._catalogue, schema_id)
        except SettingsError:
            return False
        if learnt:
            log.info("schema_learnt", schema_id=schema_id)
        else:
            if len(self._nobodys) >= _MOST_UNKNOWN:
                self._nobodys.clear()
            self._nobodys[schema_id] = time.monotonic() + _ASK_AGAIN_S
        return True


def _registry(settings: Settings) -> "Registry":
    from streams.registry import Registry  # noqa: PLC0415 - an HTTP client is only loaded when it is used

    return Registry(settings)
