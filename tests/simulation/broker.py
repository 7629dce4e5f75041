"""Partition logs and transactions, as Kafka keeps them."""

from collections.abc import Iterator, Sequence
from enum import Enum, auto
from typing import Any

from streams.publisher import Outgoing


class Fenced(Exception):
    """A newer producer of the same transactional id has started, or the coordinator has ended the transaction."""


class Fate(Enum):
    OPEN = auto()
    COMMITTED = auto()
    ABORTED = auto()


class Transaction:
    """The records of one commit of one dispatcher partition."""

    __slots__ = ("epoch", "fate", "partition", "records", "seen")

    def __init__(self, partition: int, epoch: int) -> None:
        self.partition, self.epoch, self.fate, self.seen = partition, epoch, Fate.OPEN, 0
        self.records: list[Record] = []


class Record:
    """A record as a consumer sees it. `seen` is the latest time that any dispatcher's clock had shown when it was written."""

    __slots__ = ("key", "offset", "partition", "seen", "topic", "transaction", "value")
    timestamp = 0
    headers: Sequence[tuple[str, bytes]] = ()

    def __init__(
        self, topic: str, partition: int, offset: int, *, key: Any, value: Any, transaction: Transaction | None, seen: int
    ) -> None:
        self.topic, self.partition, self.offset, self.key, self.value = topic, partition, offset, key, value
        self.transaction, self.seen = transaction, seen


class Log:
    """One partition. A transaction's end takes an offset of its own, as Kafka's markers do."""

    __slots__ = ("records",)

    def __init__(self) -> None:
        self.records: list[Record | None] = []

    @property
    def end(self) -> int:
        return len(self.records)

    def stable_end(self) -> int:
        """Up to where a read_committed reader may read: the first record of a transaction that is still open."""
        for record in self.records:
            if record is not None and record.transaction is not None and record.transaction.fate is Fate.OPEN:
                return record.offset
        return len(self.records)

    def committed(self, position: int = 0) -> Iterator[Record]:
        """What a read_committed reader gets from `position` on."""
        records = self.records
        for offset in range(position, len(records)):
            record = records[offset]
            if record is None:
                continue
            if (transaction := record.transaction) is not None and transaction.fate is not Fate.COMMITTED:
                if transaction.fate is Fate.OPEN:
                    return
                continue
            yield record

    def compacted(self) -> list[Record]:
        """What is left of the committed records when all but the last of each key are gone, tombstones kept."""
        last = {record.key: record for record in self.committed()}
        return sorted(last.values(), key=lambda record: record.offset)


class Broker:
    """All logs, and the transaction coordinator: one transactional id a dispatcher partition."""

    def __init__(self) -> None:
        self.logs: dict[tuple[str, int], Log] = {}
        self.transactions: list[Transaction] = []
        """The committed ones, in the order of their commits."""
        self._epochs: dict[int, int] = {}
        self._open: dict[int, Transaction] = {}
        self.seen = 0

    def log(self, topic: str, partition: int = 0) -> Log:
        key = (topic, partition)
        if (log := self.logs.get(key)) is None:
            log = self.logs[key] = Log()
        return log

    def append(self, topic: str, partition: int, key: Any, value: Any, transaction: Transaction | None = None) -> Record:
        records = self.log(topic, partition).records
        record = Record(topic, partition, len(records), key=key, value=value, transaction=transaction, seen=self.seen)
        records.append(record)
        return record

    def start_producer(self, partition: int) -> int:
        """Fence whoever wrote before: its open transaction is aborted. Returns the new epoch."""
        self.end_transaction(partition)
        self._epochs[partition] = epoch = self._epochs.get(partition, 0) + 1
        return epoch

    def end_transaction(self, partition: int) -> bool:
        """Abort the open transaction, as the coordinator does when it takes too long. False when there is none."""
        if (transaction := self._open.pop(partition, None)) is None:
            return False
        self._end(transaction, Fate.ABORTED)
        self._epochs[partition] = self._epochs[partition] + 1
        return True

    def prepare(self, partition: int, epoch: int, outgoing: Sequence[Outgoing]) -> Transaction:
        """Write the records of a transaction without committing it. Raises Fenced."""
        self._check(partition, epoch)
        transaction = Transaction(partition, epoch)
        for out in outgoing:
            record = self.append(out.topic, out.partition or 0, out.key, out.value, transaction)
            transaction.records.append(record)
        self._open[partition] = transaction
        return transaction

    def commit(self, transaction: Transaction) -> None:
        """Everything of it becomes visible at once. Raises Fenced."""
        self._check(transaction.partition, transaction.epoch)
        if transaction.fate is not Fate.OPEN:
            raise Fenced
        del self._open[transaction.partition]
        self._end(transaction, Fate.COMMITTED)
        transaction.seen = self.seen
        self.transactions.append(transaction)

    def _check(self, partition: int, epoch: int) -> None:
        if self._epochs.get(partition) != epoch:
            raise Fenced

    def _end(self, transaction: Transaction, fate: Fate) -> None:
        transaction.fate = fate
        for topic, partition in {(record.topic, record.partition) for record in transaction.records}:
            self.log(topic, partition).records.append(None)
