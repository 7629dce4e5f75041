"""Promise of the decoder: what Kafka writes of its groups is read in any of its versions, and no other form is guessed."""

import struct

import pytest

from streams.verify.facts import Moved, progress
from streams.verify.group_log import GroupChanged, GroupHistory, GroupLogError, OffsetCommitted, decode


def text(value: str | None, *, compact: bool = False) -> bytes:
    data = (value or "").encode()
    if compact:
        return (b"\0" if value is None else bytes([len(data) + 1])) + data
    return struct.pack(">h", -1 if value is None else len(data)) + data


COMMIT_KEY = struct.pack(">h", 1) + text("g") + text("ai.requests") + struct.pack(">i", 3)
GROUP_KEY = struct.pack(">h", 2) + text("g")


def commit(version: int, offset: int, metadata: str) -> bytes:
    value = struct.pack(">hq", version, offset)
    if version >= 3:
        value += struct.pack(">i", 9)
    value += text(metadata, compact=version >= 4) + struct.pack(">q", 1)
    return value + {1: struct.pack(">q", 2), 4: b"\0"}.get(version, b"")


def state(version: int, generation: int, protocol: str | None) -> bytes:
    compact = version >= 4
    return (
        struct.pack(">h", version)
        + text("consumer", compact=compact)
        + struct.pack(">i", generation)
        + text(protocol, compact=compact)
    )


@pytest.mark.parametrize("version", range(5))
def test_every_version_of_a_commit_is_read(version: int) -> None:
    assert decode(COMMIT_KEY, commit(version, 2**40, "done:1+3")) == OffsetCommitted("g", "ai.requests", 3, 2**40, "done:1+3")


@pytest.mark.parametrize("version", range(5))
def test_every_version_of_a_group_is_read(version: int) -> None:
    assert decode(GROUP_KEY, state(version, 7, "range")) == GroupChanged("g", 7, empty=False)
    assert decode(GROUP_KEY, state(version, 8, None)) == GroupChanged("g", 8, empty=True)


def test_what_was_taken_back_and_what_is_of_another_kind() -> None:
    assert decode(COMMIT_KEY, None) == OffsetCommitted("g", "ai.requests", 3, None)
    assert decode(GROUP_KEY, None) == GroupChanged("g", -1, empty=True)
    assert decode(struct.pack(">h", 3) + b"anything", b"\0\0") is None


@pytest.mark.parametrize(
    ("key", "value"),
    [(b"", b""), (COMMIT_KEY[:-1], b""), (COMMIT_KEY, commit(5, 1, "")), (COMMIT_KEY, commit(0, 1, "abc")[:-10])],
)
def test_another_form_is_refused(key: bytes, value: bytes) -> None:
    with pytest.raises(GroupLogError):
        decode(key, value)


def test_a_history_knows_its_groups_their_generations_and_when_an_operator_acts() -> None:
    history = GroupHistory(["g"])
    records = [
        (GROUP_KEY, state(3, 7, "range")),
        (COMMIT_KEY, commit(3, 10, "")),
        (struct.pack(">h", 1) + text("other") + text("t") + struct.pack(">i", 0), commit(3, 1, "")),
        (GROUP_KEY, state(3, 8, None)),
        (COMMIT_KEY, commit(3, 0, "")),
        (COMMIT_KEY, None),
    ]
    found = [fact for offset, (key, value) in enumerate(records) for fact in history.facts(5, offset, key, value)]
    about = progress("group g", "ai.requests", 3)
    assert found == [
        (about, Moved(5, 1, 10, 7)),
        (about, Moved(5, 4, 0, 8, fresh=True)),
        (about, Moved(5, 5, 0, 8, fresh=True)),
    ]
