"""The keys that hold now: a follower of ai.keys, whole in every process of the edge."""

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import structlog

from schemas.errors import RecordError
from schemas.keys import KeyIssued
from streams import topics
from streams.edge.principal import Principal
from streams.edge.tokens import key_id_of, matches
from streams.follower import Follower
from streams.runtime import Runtime

log = structlog.get_logger(__name__)

"""A revocation is obeyed within a second."""


class KeyRing:
    """An Authority. `secret` is what the keys' HMACs were made with."""

    def __init__(self, runtime: Runtime, secret: bytes) -> None:
        self._codec = runtime.serde.of(KeyIssued)
        self._secret = secret
        self._keys: dict[str, KeyIssued] = {}
        self._follower = Follower(
            runtime,
            "keys",
            {topics.KEYS: None},
            self._apply,
            started_over=self._keys.clear,
            gather_ms=None,
        )

    @contextlib.asynccontextmanager
    async def following(self) -> AsyncIterator["KeyRing"]:
        """Follow in the background; in the body all keys are known that stood in the topic at the start."""
        async with self._follower.following():
            yield self

    @property
    def caught_up(self) -> bool:
        """Whether all keys are known that stood in the topic at the start."""
        return self._follower.caught_up.is_set()

    def principal(self, credential: str) -> Principal | None:
        """The holder of a key that stands and was not revoked; None for any other."""
        key_id = key_id_of(credential)
        issued = self._keys.get(key_id) if key_id is not None else None
        if issued is None or issued.revoked_at is not None or not matches(credential, issued.mac, self._secret):
            return None
        return Principal(issued.tenant, frozenset(issued.roles), issued.key_id)

    def _apply(self, record: Any) -> None:
        if record.value is None:
            self._keys.pop((record.key or b"").decode("utf-8", "replace"), None)
            return
        try:
            issued = self._codec.decode(record.value)
        except RecordError as error:
            place = {"partition": record.partition, "offset": record.offset}
            log.warning("edge_unreadable_key", **place, error=str(error), next_step="revoke it, and create it again")
            return
        self._keys[issued.key_id] = issued
