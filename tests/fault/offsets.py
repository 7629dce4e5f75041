"""I6: committed offsets never go back, and never pass a record that is not done. Sampled while a case runs, judged at its end."""

import asyncio
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from streams.settings import Settings
from tests.fault import background
from tests.fault.seen import Seen

_EVERY_S = 0.3
_ANSWER_MS = 3_000


@dataclass(frozen=True, slots=True)
class Committed:
    """What a group had committed, at the latest at `at`."""

    group: str
    partition: TopicPartition
    offset: int
    at: float


class Offsets:
    """`async with Offsets(settings, groups)`. While the broker does not answer there are no samples."""

    def __init__(self, settings: Settings, groups: Sequence[str]) -> None:
        self._settings, self._groups = settings, groups
        self.samples: list[Committed] = []

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._look_on(), name="offsets")
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await background.end(self._task)

    def reached_end(self, seen: Seen) -> bool:
        """Whether everything that was seen on the groups' topics is committed, so that none of it can be delivered again."""
        last = {sample.partition: sample.offset for sample in self.samples}
        return all(last.get(partition, 0) > max(works) for partition, works in seen.waiting.items() if works)

    def problems(self, seen: Seen) -> Iterator[str]:
        """What is wrong with the samples, by what was seen of the records. Ask once everything has been read."""
        yield from _went_back(self.samples)
        done = {partition: seen.done(partition) for partition in {sample.partition for sample in self.samples}}
        for sample in self.samples:
            passed = done[sample.partition].unfinished_before(sample.offset, sample.at)
            if passed is not None:
                yield f"{sample.group} had committed {_place(sample)} before the record at offset {passed} was done"
                return

    async def _look_on(self) -> None:
        while True:
            admin = AIOKafkaAdminClient(bootstrap_servers=self._settings.bootstrap_servers, request_timeout_ms=_ANSWER_MS)
            try:
                await admin.start()
                while True:
                    await self._look(admin)
                    await asyncio.sleep(_EVERY_S)
            except KafkaError:  # away, and perhaps to be met again under another epoch
                await asyncio.sleep(_EVERY_S)
            finally:
                await admin.close()

    async def _look(self, admin: AIOKafkaAdminClient) -> None:
        for group in self._groups:
            found = await admin.list_consumer_group_offsets(group)
            now = time.time()
            self.samples += [Committed(group, tp, at.offset, now) for tp, at in found.items() if at.offset >= 0]


def _went_back(samples: Iterable[Committed]) -> Iterator[str]:
    last: dict[tuple[str, TopicPartition], int] = {}
    for sample in samples:
        before = last.get((sample.group, sample.partition), 0)
        if sample.offset < before:
            yield f"{sample.group} went back from {before} to {_place(sample)}"
            return
        last[sample.group, sample.partition] = sample.offset


def _place(sample: Committed) -> str:
    return f"{sample.offset} of {sample.partition.topic}-{sample.partition.partition}"


def groups_of(settings: Settings, roles: Iterable[str]) -> list[str]:
    """The consumer groups whose offsets carry a promise. The dispatcher's do not: its positions are in its changelog."""
    return [settings.group(role) for role in roles if role == "intake" or role.startswith("calls:")]
