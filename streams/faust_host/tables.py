"""A Faust table that is a cache of a compacted topic, and a recovery that ends.

Stock Faust compares the offset of the last record it got with the end of the changelog. Where the last thing in the log is a
transaction marker, or a record that compaction removed, that offset never comes, and the app waits for ever. Here the recovery
ends when the consumer's position has passed the end, whatever lies there, and everything read was applied.
"""

import asyncio
from typing import Any

from faust.tables.globaltable import GlobalTable
from faust.tables.manager import TableManager as FaustTableManager
from faust.tables.recovery import Recovery as FaustRecovery
from faust.types.tuples import TP
from mode import Service

from streams.faust_host.topic import Topic

WATCH_S = 0.02


class CompactedTable(GlobalTable):
    """The newest value of every key, as bytes, in every instance. Read-only: the topic is written elsewhere."""

    def __init__(self, app: Any, *, name: str, topic: str, **options: Any) -> None:
        self.source = topic
        options |= {"key_type": bytes, "value_type": bytes, "is_global": True, "recovery_buffer_size": 1}
        super().__init__(app, name=name, changelog_topic=Topic(app, topics=[topic], acks=False), **options)

    def _changelog_topic_name(self) -> str:
        return self.source

    def on_key_set(self, key: Any, value: Any) -> None:  # noqa: ARG002 - Faust's signature
        self._refuse()

    def on_key_del(self, key: Any) -> None:  # noqa: ARG002 - Faust's signature
        self._refuse()

    def _refuse(self) -> None:
        raise TypeError(f"table {self.name!r} is a cache of {self.source!r} and is not written to; publish to the topic instead")

    def wipe(self) -> None:
        """Forget everything, without a word to the topic."""
        self.data.data.clear()
        self.data._key_partition.clear()  # noqa: SLF001 - Faust's store has no other way


class Recovery(FaustRecovery):
    """Faust's recovery with its own idea of the end."""

    _reading = False
    """From the seek to the start of the changelogs until everything has been read: only then do the ends mean this recovery's."""

    async def _seek_offsets(self, consumer: Any, tps: set[TP], offsets: Any, title: str) -> None:
        await super()._seek_offsets(consumer, tps, offsets, title)
        if title == "active":
            self.signal_recovery_end.clear()
            self._reading = True

    async def on_rebalance(self, *args: Any, **kwargs: Any) -> None:
        self._reading = False
        await super().on_rebalance(*args, **kwargs)
        # Faust has every partition of a global table twice, active and standby, and would read it twice.
        self.standby_tps.difference_update({tp for tp in self.active_tps if isinstance(self.tp_to_table[tp], CompactedTable)})

    def need_recovery(self) -> bool:
        """True until everything below the end that was there at the start has been applied."""
        return not self.tables.changelog_queue.empty() or any(not self._passed(tp) for tp in self.active_tps)

    def _passed(self, tp: TP) -> bool:
        last = self.active_highwaters.get(tp)
        return last is None or last < 0 or self.app.consumer.read_to.get(tp, 0) > last

    @Service.task
    async def _end_when_read(self) -> None:
        quiet, since = 0, self.loop.time()
        while not self.should_stop:
            await asyncio.sleep(WATCH_S if self.in_recovery else 10 * WATCH_S)
            if not (self.in_recovery and self._reading):
                quiet, since = 0, self.loop.time()
                continue
            quiet = 0 if self.need_recovery() else quiet + 1
            if quiet >= 2:  # twice: an event that has left the queue may not have reached its table yet
                self._reading = False
                self.flush_buffers()
                self._set_recovery_ended()
                self.signal_recovery_end.set()
            elif self.loop.time() - since > self.app.options.table_deadline_s:
                await self._rebuild()
                since = self.loop.time()

    async def _rebuild(self) -> None:
        self.log.warning("a table has not recovered within %s s; it is wiped and read again", self.app.options.table_deadline_s)
        for table in {self.tp_to_table[tp] for tp in self.active_tps}:
            if isinstance(table, CompactedTable):
                table.wipe()
        for tp in self.active_tps:
            self.active_offsets[tp] = -1
        await self.app.consumer.seek_wait(dict.fromkeys(self.active_tps, 0))
        self.app.consumer.resume_partitions(self.active_tps)


class TableManager(FaustTableManager):
    _ours: Recovery | None = None

    async def on_start(self) -> None:
        """As Faust's, without its second of waiting for tables that are declared late: ours are declared before the start."""
        await self._update_channels()
        await self.recovery.start()

    @property
    def recovery(self) -> Recovery:
        if self._ours is None:
            self._ours = self._recovery = Recovery(self.app, self, beacon=self.beacon, loop=self.loop)
        return self._ours
