"""The directory of files and batches: a follower of ai.batches, whole in every process of the edge."""

import asyncio
import contextlib
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import datetime
from typing import Any, TypeVar

import structlog

from processors.api.files_shape import KEPT_FOR
from processors.api.refusals import RETRY_AFTER_S, Refusal
from schemas.batches import BatchChanged, BatchState
from schemas.errors import RecordError
from schemas.files import StoredFile
from streams import clock, topics
from streams.edge.files_log import file_key
from streams.edge.principal import Refused
from streams.follower import Follower
from streams.ids import made_at_s
from streams.runtime import Runtime

log = structlog.get_logger(__name__)

_READ_WITHIN_S = 5.0
_YOUNG_S = 60.0
"""What another process made so recently may not have come here yet, and is waited for."""
_YOUNG_WITHIN_S = 15.0
"""Mostly milliseconds; a process that died in the middle of a transaction holds readers up until another takes its place."""
_SEEN = 10_000
_FORGET_EVERY = 1_000
T = TypeVar("T")


class BatchIndex:
    """What stands in ai.batches, without what only carrying out a batch needs: about a kilobyte of memory each, for 30 days."""

    def __init__(self, runtime: Runtime) -> None:
        self._codec = runtime.serde.of(BatchChanged)
        self._files: dict[str, StoredFile] = {}
        self._batches: dict[str, BatchState] = {}
        self._cancels: dict[str, datetime] = {}
        self._seen: OrderedDict[str, None] = OrderedDict()
        """The last ids that came here: what is not there under one of these need not be waited for."""
        self._applied = 0
        self._news = asyncio.Event()
        self._follower = Follower(
            runtime,
            "batches",
            {topics.BATCHES: None},
            self._apply,
            started_over=self._start_over,
            batch_done=self._tell,
            gather_ms=None,
        )

    @contextlib.asynccontextmanager
    async def following(self) -> AsyncIterator["BatchIndex"]:
        """Follow in the background; in the body everything is known that stood in the topic at the start."""
        async with self._follower.following():
            yield self

    async def file(self, tenant: str, file_id: str) -> StoredFile:
        """The tenant's file. Raises Refused, 404, alike for an unknown one, an expired one and another tenant's."""

        def there() -> StoredFile | None:
            found = self._files.get(file_key(tenant, file_id))
            # A tenant's name may hold what parts a key.
            ours = found is not None and (found.tenant, found.file_id) == (tenant, file_id)
            return found if found is not None and ours and found.expires_at > clock.now() else None

        return await self._find(there, file_id, "file")

    async def batch(self, tenant: str, batch_id: str) -> BatchState:
        """The tenant's batch. Raises Refused, 404, alike for an unknown one and another tenant's."""

        def there() -> BatchState | None:
            found = self._batches.get(batch_key(tenant, batch_id))
            return found if found is not None and (found.tenant, found.batch_id) == (tenant, batch_id) else None

        return await self._find(there, batch_id, "batch")

    def cancel_asked_at(self, batch: BatchState) -> datetime | None:
        return self._cancels.get(batch_key(batch.tenant, batch.batch_id))

    async def files(self, tenant: str) -> list[StoredFile]:
        """The tenant's files."""
        await self._read_once()
        now = clock.now()
        return [each for each in self._files.values() if each.tenant == tenant and each.expires_at > now]

    async def batches(self, tenant: str) -> list[BatchState]:
        """The tenant's batches."""
        await self._read_once()
        oldest = clock.now() - KEPT_FOR
        return [each for each in self._batches.values() if each.tenant == tenant and each.created_at > oldest]

    async def until(self, check: Callable[[], T | None], within_s: float) -> T | None:
        """What `check` finds, as soon as it does; None when it does not in time."""
        give_up = time.monotonic() + within_s
        while (found := check()) is None:
            try:
                async with asyncio.timeout(give_up - time.monotonic()):
                    await self._news.wait()
            except TimeoutError:
                return None
        return found

    async def until_known(self, name: str) -> None:
        """Wait until what was just made is in the directory; not for ever, for it stands in the log."""
        await self.until(lambda: True if name in self._seen else None, _READ_WITHIN_S)

    async def until_gone(self, file: StoredFile) -> None:
        """Wait until a deleted file is no longer in the directory."""
        key = file_key(file.tenant, file.file_id)
        await self.until(lambda: True if key not in self._files else None, _READ_WITHIN_S)

    async def until_cancelled(self, batch: BatchState) -> None:
        """Wait until the wish to cancel a batch is in the directory."""
        await self.until(lambda: self.cancel_asked_at(batch), _READ_WITHIN_S)

    async def _find(self, there: Callable[[], T | None], name: str, kind: str) -> T:
        await self._read_once()
        if (found := there()) is None and name not in self._seen and _is_young(name):
            found = await self.until(there, _YOUNG_WITHIN_S)
        if found is None:
            raise Refused(Refusal(404, f"unknown_{kind}", f"there is no {kind} {name[:100]!r}", f"{kind}_id"))
        return found

    async def _read_once(self) -> None:
        try:
            async with asyncio.timeout(_READ_WITHIN_S):
                await self._follower.caught_up.wait()
        except TimeoutError:
            message = "the directory of files and batches is being read: try again"
            raise Refused(Refusal(503, "log_unavailable", message, retry_after_s=RETRY_AFTER_S)) from None

    def _start_over(self) -> None:
        for known in (self._files, self._batches, self._cancels, self._seen):
            known.clear()

    def _note(self, name: str) -> None:
        self._seen[name] = None
        if len(self._seen) > _SEEN:
            self._seen.popitem(last=False)
        self._applied += 1
        if self._applied % _FORGET_EVERY == 0:
            self._forget_old()

    def _forget_old(self) -> None:
        now = clock.now()
        for key in [key for key, each in self._files.items() if each.expires_at <= now]:
            del self._files[key]
        for key in [key for key, each in self._batches.items() if each.created_at <= now - KEPT_FOR]:
            del self._batches[key]
            self._cancels.pop(key, None)

    def _tell(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()

    def _apply(self, record: Any) -> None:
        key = (record.key or b"").decode("utf-8", "replace")
        self._note(key.rpartition("/")[2])
        if record.value is None:
            self._files.pop(key, None)
            return
        try:
            changed = self._codec.decode(record.value)
        except RecordError as error:
            place = {"partition": record.partition, "offset": record.offset}
            log.warning("edge_unreadable_batch", **place, error=str(error), next_step="it is not shown")
            return
        if changed.batch is not None:
            self._batches[key] = replace(changed.batch, settled=b"", positions=())
        if changed.file is not None:
            self._files[key] = changed.file
        if changed.cancel is not None:
            self._cancels.setdefault(batch_key(changed.cancel.tenant, changed.cancel.batch_id), changed.cancel.asked_at)


def batch_key(tenant: str, batch_id: str) -> str:
    """The key of a batch, by which all records about it find their partition."""
    return f"{tenant}/{batch_id}"


def cancel_key(tenant: str, batch_id: str) -> str:
    """The key of the wish to cancel a batch: it must not take the batch's own place."""
    return f"{batch_key(tenant, batch_id)}/cancel"


def _is_young(name: str) -> bool:
    made_s = made_at_s(name.replace("_", "-", 1))
    return made_s is not None and abs(clock.now().timestamp() - made_s) < _YOUNG_S
