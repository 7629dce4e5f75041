from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.faust_host.offsets import PartitionOffsets
from streams.offset_metadata import MAX_CHARS, decode, encode


def delivered(*offsets: int, position: int | None = 0, token: object = "t") -> PartitionOffsets:
    book = PartitionOffsets(position)
    for offset in offsets:
        assert book.deliver(offset, token)
        assert book.start(offset, token)
    return book


@pytest.mark.parametrize(
    ("offsets", "done", "committable"),
    [
        pytest.param((), (), 0, id="nothing read"),
        pytest.param(range(10), (), 0, id="all in work"),
        pytest.param(range(10), range(4, 10), 0, id="fresh group, 0 to 3 in work"),
        pytest.param(range(5, 8), (6,), 5, id="5 in work, 6 done"),
        pytest.param(range(10), range(10), 10, id="all done"),
        pytest.param((3, 7, 20), (3, 7), 20, id="gaps of compaction and markers"),
        pytest.param((3, 7, 20), (3, 7, 20), 21, id="gaps, all done"),
    ],
)
def test_commit_never_passes_an_unfinished_record(offsets: range, done: range, committable: int) -> None:
    book = delivered(*offsets)
    for offset in done:
        assert book.finish(offset, "t")
    assert book.committable() == committable


def test_nothing_to_commit_before_the_first_read_of_a_new_group() -> None:
    assert PartitionOffsets(None).committable() is None


def test_waiting_records_count_as_unfinished() -> None:
    book = delivered(1, position=0)
    book.deliver(0, "late")
    book.finish(1, "t")
    assert book.committable() == 0


def test_a_record_is_done_once() -> None:
    book = delivered(0)
    assert book.finish(0, "t")
    assert not book.finish(0, "t")


def test_two_agents_may_take_one_delivery() -> None:
    book = delivered(0)
    assert book.start(0, "t")


def test_going_back_forgets_what_was_waiting() -> None:
    book = delivered(0)
    book.deliver(1, "t")
    book.go_back(0)
    assert not book.start(1, "t")
    assert not book.finish(1, "t")
    assert book.committable() == 0


def test_going_back_keeps_what_is_in_work_and_done() -> None:
    book = delivered(0, 1, 2)
    book.finish(1, "t")
    book.go_back(0)
    assert [book.deliver(offset, "again") for offset in (0, 1, 2, 3)] == [False, False, False, True]
    assert book.finish(0, "t")  # the first delivery's word counts: it is the one in work
    assert book.finish(2, "t")
    assert book.committable() == 3


def test_going_back_does_not_let_a_commit_pass_what_will_be_read_again() -> None:
    book = delivered(0, 1)
    book.deliver(2, "t")
    book.release()
    book.finish(0, "t")
    book.finish(1, "t")
    assert book.committable() == 2
    book.go_back(0)
    assert book.committable() == 0


def test_an_older_delivery_does_not_count() -> None:
    book = PartitionOffsets(0)
    book.deliver(0, "first")
    book.go_back(0)
    book.deliver(0, "second")
    assert not book.start(0, "first")
    assert book.start(0, "second")
    assert not book.finish(0, "first")


def test_what_a_former_owner_did_is_not_delivered() -> None:
    book = PartitionOffsets(3, done={4, 5})
    assert [book.deliver(offset, "t") for offset in (3, 4, 5, 6)] == [True, False, False, True]
    book.start(3, "t")
    book.finish(3, "t")
    assert book.committable() == 6


@given(st.integers(0, 10**12), st.sets(st.integers(0, 5_000)))
def test_metadata_round_trip(base: int, steps: set[int]) -> None:
    done = {base + step for step in steps}
    text = encode(base, done)
    assert len(text) <= MAX_CHARS
    kept = decode(base, text)
    assert kept <= done
    if len(text) < MAX_CHARS - 40:
        assert kept == done


@pytest.mark.parametrize("text", ["", "other tool", "done:", "done:x", "done:1", "done:1+", "done:-1+2", "done:0+99999999999999"])
def test_metadata_that_is_not_ours_is_ignored(text: str) -> None:
    assert decode(5, text) == set()


@dataclass
class Partition:
    """A log of 30 records, its committed offset, and what has truly been done: the truth that the books are held against."""

    committed: int = 0
    metadata: str = ""
    done: set[int] = field(default_factory=set)


@given(
    st.lists(st.tuples(st.sampled_from(["read", "start", "finish", "commit", "back", "moved"]), st.integers(0, 5)), max_size=120)
)
def test_no_order_of_events_loses_a_record(steps: list[tuple[str, int]]) -> None:
    """Reading, work, commits, rebalances that keep the partition or lose it, in any order: no commit passes an undone record."""
    log, book, position = Partition(), PartitionOffsets(0), 0
    queue: list[tuple[int, object]] = []
    working: list[tuple[PartitionOffsets, int, object]] = []
    for step, choice in steps:
        if step == "read" and position < 30:
            token = object()
            if book.deliver(position, token):
                queue.append((position, token))
            position += 1
        elif step == "start" and queue:
            offset, token = queue.pop(0)
            if book.start(offset, token):
                working.append((book, offset, token))
        elif step == "finish" and working:
            of, offset, token = working.pop(choice % len(working))
            log.done.add(offset)
            of.finish(offset, token)
        elif step == "commit":
            offset = book.committable()
            assert offset is not None
            if offset >= log.committed:
                log.committed, log.metadata = offset, encode(offset, book.done)
        elif step in {"back", "moved"}:
            if step == "moved":
                book = PartitionOffsets(log.committed, decode(log.committed, log.metadata))
            book.go_back(log.committed)
            position = log.committed
            if choice % 2:
                queue.clear()  # or the queue was not emptied: what is in it is void
        assert set(range(log.committed)) <= log.done
        assert decode(log.committed, log.metadata) <= log.done
