"""What the records of `__consumer_offsets` say: which group committed what, and in which generation. Pure.

The format is Kafka's own (`OffsetCommitKey`, `OffsetCommitValue`, `GroupMetadataKey`, `GroupMetadataValue`, versions 0 to 4, in
`group-coordinator/src/main/resources/common/message` of its source): a version of two bytes, then the fields. From version 4 of a
value on, strings are compact (a variable length plus one) and optional fields follow under tags, which are left out here.
Keys of version 0 and 1 are commits, 2 the state of a group; others belong to newer kinds of groups, which Penstock does not use.
"""

import struct
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from streams.verify.facts import About, Moved, progress
from streams.verify.progress import GROUP

_COMPACT = 4
_KNOWN_VALUES = range(5)


class GroupLogError(Exception):
    """A record has another form than the versions that are known here."""


@dataclass(frozen=True, slots=True)
class OffsetCommitted:
    """`offset` is None where the group's word was taken back: it expired, was deleted, or its topic was."""

    group: str
    topic: str
    partition: int
    offset: int | None
    metadata: str = ""


@dataclass(frozen=True, slots=True)
class GroupChanged:
    """A generation of the group has begun; `empty`: it has no members."""

    group: str
    generation: int
    empty: bool


def decode(key: bytes | None, value: bytes | None) -> OffsetCommitted | GroupChanged | None:
    """None for a record of another kind. Raises GroupLogError."""
    try:
        return _decode(_Reader(key or b""), value)
    except (struct.error, UnicodeDecodeError, IndexError) as error:
        raise GroupLogError(f"a record of the group offsets cannot be read: {error}") from error


def _decode(key: "_Reader", value: bytes | None) -> OffsetCommitted | GroupChanged | None:
    version = key.number(">h")
    if version in {0, 1}:
        group, topic, partition = key.text(), key.text(), key.number(">i")
        if value is None:
            return OffsetCommitted(group or "", topic or "", partition, None)
        said = _Reader(value)
        compact = _version(said) >= _COMPACT
        offset = said.number(">q")
        if said.version >= 3:
            said.number(">i")
        return OffsetCommitted(group or "", topic or "", partition, offset, said.text(compact=compact) or "")
    if version == 2:
        group = key.text() or ""
        if value is None:
            return GroupChanged(group, -1, empty=True)
        said = _Reader(value)
        compact = _version(said) >= _COMPACT
        said.text(compact=compact)
        generation = said.number(">i")
        return GroupChanged(group, generation, empty=said.text(compact=compact) is None)
    return None


def _version(said: "_Reader") -> int:
    said.version = said.number(">h")
    if said.version not in _KNOWN_VALUES:
        raise GroupLogError(f"a record of the group offsets has version {said.version}, the known ones are 0 to 4")
    return said.version


class _Reader:
    """Fields of Kafka's encoding, one after the other."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0
        self.version = 0

    def number(self, form: str) -> int:
        (number,) = struct.unpack_from(form, self._data, self._at)
        self._at += struct.calcsize(form)
        return int(number)

    def text(self, *, compact: bool = False) -> str | None:
        length = self._varint() - 1 if compact else self.number(">h")
        if length < 0:
            return None
        if self._at + length > len(self._data):
            raise IndexError("a text is cut off")
        self._at += length
        return self._data[self._at - length : self._at].decode()

    def _varint(self) -> int:
        number = shift = 0
        while True:
            byte = self._data[self._at]
            self._at += 1
            number |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return number


class GroupHistory:
    """Follows the commits of some groups. `states`: generation and emptiness of each, to go on from."""

    def __init__(self, groups: Collection[str]) -> None:
        self._groups = frozenset(groups)
        self.states: dict[str, tuple[int, bool]] = {}

    def facts(self, partition: int, offset: int, key: bytes | None, value: bytes | None) -> Iterator[tuple[About, Moved]]:
        """What one record says of our groups.

        While a group has no members it is an operator who sets its offsets, and may set them back. A topic that is made anew
        begins anew.
        """
        said = decode(key, value)
        if said is None or said.group not in self._groups:
            return
        if isinstance(said, GroupChanged):
            self.states[said.group] = said.generation, said.empty
            return
        generation, empty = self.states.get(said.group, (-1, False))
        about = progress(f"{GROUP}{said.group}", said.topic, said.partition)
        fresh = empty or said.offset is None
        yield about, Moved(partition, offset, said.offset or 0, generation, fresh)


def partition_of(group: str, partitions: int) -> int:
    """Where a group's records stand: Java's hash of its name, as the broker places it.

    >>> partition_of("abc", 50), partition_of("polygenelubricants", 50)
    (4, 0)
    """
    number = 0
    for unit in struct.iter_unpack(">H", group.encode("utf-16-be")):
        number = (31 * number + unit[0]) & 0xFFFFFFFF
    signed = number - (1 << 32) if number & 0x80000000 else number
    return abs(signed) % partitions if signed != -(1 << 31) else 0
