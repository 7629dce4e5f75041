"""A lane's state on disk says what its changelog says up to one offset, whatever happens to the files."""

import shutil
import time
from contextlib import closing, contextmanager

import pytest
from rocksdict import Cache

from processors.dispatch.state import Finished, LaneState, PutPosition
from schemas.errors import SettingsError
from schemas.serde import Serde
from streams.dispatcher.changelog import Changelog
from streams.dispatcher.restore import Restored
from streams.stores import lane_store
from streams.stores.lane_store import LaneStore
from streams.stores.state_dir import state_slot
from tests.fakes.lane import FakeLane
from tests.fakes.records import at, completed, routed, started

SERDE = Serde()


@contextmanager
def opened(directory, identity="cluster"):
    with closing(LaneStore(directory, cache=Cache(1 << 20), serde=SERDE, identity=identity)) as store:
        yield store


def transactions(lane: FakeLane):
    """What a lane writes to its changelog, a transaction each: two requests answered, one open, one call under way."""
    changelog = Changelog(SERDE)
    for n, event in enumerate(
        [routed("r1"), started("c1"), completed("c1"), routed("r2"), routed("r3"),
         started("c3", request_id="r3"), started("c2", request_id="r2"), completed("c2", request_id="r2")]
    ):  # fmt: skip
        yield changelog.encode([*lane.on(event, at(n)).changes, PutPosition("ai.attempts", n + 1)], {})


def reopened(directory, end):
    """The state as the next process has it, from the disk alone."""
    with opened(directory) as store:
        restored = Restored.from_store(store)
        assert store.reuse(begin=0, end=end)
        for key, value in store.records():
            assert not key.startswith("total/")
            Changelog(SERDE).apply(restored.state, key, value)
        return digest(restored.state), store.next_offset


def digest(state: LaneState):
    totals = {(total.lane, total.provider, total.model, total.hour): total for total in state.totals.values()}
    return state.open, dict(state.finished.items()), state.calls, totals, state.circuits, state.positions


def test_after_every_transaction_the_disk_holds_the_fold_of_the_changelog(tmp_path):
    lane, in_memory, offset = FakeLane(), LaneState(), 0
    for records in transactions(lane):
        with opened(tmp_path / "lane") as store:
            restored = Restored.from_store(store)
            for key, value in store.records():
                Changelog(SERDE).apply(restored.state, key, value)
            for key, value in records:
                Changelog(SERDE).apply(restored.state, key, value)
                Changelog(SERDE).apply(in_memory, key, value)
            offset += len(records) + 1
            restored.committed(records, next_offset=offset)
        assert reopened(tmp_path / "lane", offset + 1) == (digest(in_memory), offset)
    assert in_memory.finished.keys() == {"acme/r1", "acme/r2"}
    assert in_memory.open.keys() == {"acme/r3"}


def test_what_was_not_committed_is_not_kept(tmp_path):
    with opened(tmp_path / "lane") as store:
        state = Restored.from_store(store).state
        state.finished["acme/r1"] = Finished(b"d" * 32, at(0), "ok")
        assert "acme/r1" in state.finished
        again = Restored.from_store(store).state
        assert "acme/r1" not in again.finished
        store.write([], next_offset=5)
        assert "acme/r1" not in again.finished


def test_the_oldest_come_first_and_what_is_forgotten_is_gone(tmp_path):
    with opened(tmp_path / "lane") as store:
        for n in (3, 1, 2):
            store.finished[f"acme/r{n}"] = Finished(b"d" * 32, at(n), "ok")
        store.write([], next_offset=1)
        store.finished["acme/r4"] = Finished(b"e" * 32, at(4), "error")
        store.finished.pop("acme/r1", None)
        assert [key for key, _ in store.finished.items()] == ["acme/r2", "acme/r3", "acme/r4"]
        store.write([("request/acme/r1", None)], next_offset=2)
        assert [key for key, _ in store.finished.items()] == ["acme/r2", "acme/r3", "acme/r4"]
        assert store.finished.get("acme/r4") == Finished(b"e" * 32, at(4), "error")
        assert store.finished.get("acme/r1") is None


@pytest.mark.parametrize(
    ("ends", "aged_s", "reused"),
    [
        pytest.param((0, 11), 0, True, id="behind"),
        pytest.param((0, 10), 0, True, id="at the end"),
        pytest.param((0, 9), 0, False, id="newer than the log, which was made anew"),
        pytest.param((11, 20), 0, False, id="the log begins later"),
        pytest.param((0, 11), lane_store.STALE_AFTER_S + 1, False, id="behind for so long that tombstones may be gone"),
        pytest.param((0, 11), -lane_store.STALE_AFTER_S - 1, False, id="written in the future"),
        pytest.param((0, 10), lane_store.STALE_AFTER_S + 1, True, id="nothing has happened since"),
    ],
)
def test_a_copy_that_cannot_be_brought_up_to_date_is_emptied(tmp_path, monkeypatch, ends, aged_s, reused):
    with opened(tmp_path / "lane") as store:
        store.finished["acme/r1"] = Finished(b"d" * 32, at(0), "ok")
        store.write([("position/x", b"1")], next_offset=10)
        now = time.time()
        monkeypatch.setattr(time, "time", lambda: now + aged_s)
        assert store.reuse(begin=ends[0], end=ends[1]) is reused
        assert ("acme/r1" in store.finished) is reused
        assert len(list(store.records())) == reused
        assert store.next_offset == (10 if reused else 0)


def test_a_copy_of_another_cluster_is_emptied(tmp_path):
    with opened(tmp_path / "lane", "one") as store:
        store.write([("position/x", b"1")], next_offset=10)
    with opened(tmp_path / "lane", "another") as store:
        assert (store.next_offset, list(store.records())) == (0, [])


@pytest.mark.parametrize("damage", ["deleted", "garbage", "truncated"])
def test_damage_costs_a_rebuild_and_no_more(tmp_path, damage):
    with opened(tmp_path / "lane") as store:
        for n in range(2_000):
            store.finished[f"acme/r{n}"] = Finished(b"d" * 32, at(n), "ok")
        store.write([("position/x", b"1")], next_offset=10)
    for path in (tmp_path / "lane").iterdir():
        if damage == "deleted" and path.name.startswith("MANIFEST"):
            path.unlink()
        elif damage == "garbage" and path.name.startswith(("MANIFEST", "CURRENT")):
            path.write_bytes(b"\xff" * 64)
        elif damage == "truncated" and path.name == "CURRENT":
            path.write_bytes(b"")
    with opened(tmp_path / "lane") as store:
        assert store.next_offset == 0
        assert not store.finished.get("acme/r1")
        store.write([("position/x", b"1")], next_offset=10)
    shutil.rmtree(tmp_path / "lane")
    with opened(tmp_path / "lane") as store:
        assert store.next_offset == 0


def test_a_directory_that_cannot_be_written_is_refused_with_what_to_do(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(SettingsError, match="PENSTOCK_STATE_DIR"), state_slot(tmp_path / "file"):
        pass


def test_processes_side_by_side_take_different_directories_and_a_restart_the_one_left(tmp_path):
    with state_slot(tmp_path) as first, state_slot(tmp_path) as second:
        assert (first.name, second.name) == ("0", "1")
    with state_slot(tmp_path) as again:
        assert again == first
