"""A materialised view without Faust: the newest record of every key of a compacted topic, read from the start and followed.

For processes that only look (`penstock costs`): no group, no commits, nothing written.
"""

import asyncio
from collections.abc import Callable, ItemsView, Mapping
from types import MappingProxyType, TracebackType
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka.structs import TopicPartition

from schemas.errors import SettingsError

CATCH_UP_POLL_MS = 50
FOLLOW_POLL_MS = 1_000
ASSIGN_S = 30.0

OnRecord = Callable[[bytes | None, bytes | None], None]


class View:
    """Use as an async context manager; inside, it follows the topic by itself.

    Raises SettingsError on entering when the topic does not exist. When following fails, every later access raises that error.
    """

    def __init__(
        self,
        topic: str,
        *,
        bootstrap_servers: str,
        client_id: str = "view",
        security: Mapping[str, Any] | None = None,
        on_record: OnRecord | None = None,
    ) -> None:
        self._topic = topic
        self._on_record = on_record
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=bootstrap_servers,
            client_id=client_id,
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            **(security or {}),
        )
        self._values: dict[bytes, bytes] = {}
        self._ends: dict[TopicPartition, int] = {}
        self._read: dict[TopicPartition, int] = {}
        self._caught_up = asyncio.Event()
        self._changed = asyncio.Event()
        self._follower: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "View":
        try:
            await self._consumer.start()
            await self._assign()
            self._ends = dict(await self._consumer.end_offsets(self._consumer.assignment()))
            await self._note_read()
        except BaseException:
            await self._consumer.stop()
            raise
        self._follower = asyncio.create_task(self._follow(), name=f"view of {self._topic}")
        self._follower.add_done_callback(self._wake_waiters)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._follower is not None:
            self._follower.cancel()
            await asyncio.gather(self._follower, return_exceptions=True)
        await self._consumer.stop()

    @property
    def ready(self) -> bool:
        """True once everything has been read that was there when the view opened."""
        self._raise_if_failed()
        return self._caught_up.is_set()

    async def wait_ready(self, timeout_s: float) -> None:
        """Raises TimeoutError after `timeout_s`."""
        await asyncio.wait_for(self._caught_up.wait(), timeout_s)
        self._raise_if_failed()

    async def wait_changed(self) -> None:
        """Return once there has been a record since the last call."""
        await self._changed.wait()
        self._changed.clear()
        self._raise_if_failed()

    def values(self) -> Mapping[bytes, bytes]:
        """The newest value by key, read-only and live. Deleted keys are not there."""
        self._raise_if_failed()
        return MappingProxyType(self._values)

    def items(self) -> ItemsView[bytes, bytes]:
        return self.values().items()

    def lag(self) -> int:
        """Records (markers included) between what has been read and the end, as of the last fetch."""
        self._raise_if_failed()
        return sum(max(0, (self._consumer.last_stable_offset(tp) or end) - self._read[tp]) for tp, end in self._ends.items())

    async def _assign(self) -> None:
        """Every partition, without a group. aiokafka would wait 40 s for a topic that is not there, so ask first."""
        if self._topic not in await self._consumer.topics():
            raise SettingsError(f"topic {self._topic!r} does not exist on this broker; `penstock topics` shows what is there")
        self._consumer.subscribe([self._topic])
        async with asyncio.timeout(ASSIGN_S):
            while not self._consumer.assignment():  # noqa: ASYNC110 - aiokafka has no event for it
                await asyncio.sleep(0.01)

    async def _follow(self) -> None:
        while True:
            poll_ms = FOLLOW_POLL_MS if self._caught_up.is_set() else CATCH_UP_POLL_MS
            for records in (await self._consumer.getmany(timeout_ms=poll_ms)).values():
                for record in records:
                    self._apply(record.key, record.value)
                self._changed.set()
            await self._note_read()

    def _apply(self, key: bytes | None, value: bytes | None) -> None:
        if key is not None and value is not None:
            self._values[key] = value
        elif key is not None:
            self._values.pop(key, None)
        if self._on_record is not None:
            self._on_record(key, value)

    async def _note_read(self) -> None:
        # Positions, not record offsets: markers and compacted records at the end have no record to wait for.
        self._read = {tp: await self._consumer.position(tp) for tp in self._ends}
        if all(self._read[tp] >= end for tp, end in self._ends.items()):
            self._caught_up.set()

    def _wake_waiters(self, _: object) -> None:
        self._caught_up.set()
        self._changed.set()

    def _raise_if_failed(self) -> None:
        if self._follower is not None and self._follower.done() and not self._follower.cancelled():
            self._follower.result()
