"""F25, F26: the dispatcher's state lost, damaged or old; a compacted changelog and nothing else."""

import asyncio
import errno
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from schemas.outcomes import ResponseStatus
from schemas.requests import InferenceRequest
from schemas.state import DispatchChange, RequestPhase, RequestState
from streams import topics
from streams.embedded.readiness import poll
from streams.placement import lane_partition
from streams.publisher import Outgoing, Publisher
from tests.fault.case import Case, Observed, StackSpec
from tests.fault.cases._replay import SERDE, Replay, committed, differences, replay
from tests.fault.load import TENANTS, Load, Make, mixed
from tests.fault.rig import Rig

Damage = Callable[[Path, Path], None]

REQUESTS, AGAIN, PER_S = 200, 60, 60.0
NOTICED_WITHIN_S = 20.0
DISK_BYTES = 64 << 20
FINISHED, CHUNK = 20_000, 2_000
REBUILT_WITHIN_S, COMPACTED_WITHIN_S = 30.0, 60.0
COMPACTING = StackSpec(topic_config={"segment.ms": "2000", "min.cleanable.dirty.ratio": "0.01"})


async def state_lost(rig: Rig, *, damage: Damage | None) -> Observed:
    """The dispatchers die; what they kept is damaged; what they rebuild knows every request, call and total."""
    root, earlier = rig.stack.settings.data_dir / "state" / "dispatch", rig.fleet.folder / "earlier-state"
    shutil.rmtree(earlier, ignore_errors=True)
    async with rig.load(REQUESTS // 2, per_s=PER_S):
        pass
    await rig.drained()
    await rig.stack.halt("dispatch")
    if root.exists():
        shutil.copytree(root, earlier)
    await rig.stack.resume("dispatch")
    async with rig.load(REQUESTS // 2, per_s=PER_S):
        pass
    await rig.drained()
    await rig.stack.halt("dispatch", number=signal.SIGKILL)
    before = await replay(rig)
    differs = await differences(rig, before)
    kept = [file for file in root.rglob("*") if file.is_file() and file.stat().st_size] if root.exists() else []
    if damage is not None and not kept:
        return Observed(requests=REQUESTS, problems=(f"the dispatcher keeps nothing in {root}",))
    if damage is not None:
        damage(root, earlier)
    begun = time.time()
    await rig.stack.resume("dispatch")
    async with rig.load(AGAIN, per_s=PER_S) as after:
        pass
    recovery_s = await rig.recovered(begun)
    repeated = await _sent_again(rig, rig.loads[0])
    await rig.seen.until(lambda: len(_duplicates(rig)) >= repeated, NOTICED_WITHIN_S)
    await rig.drained()
    await rig.stack.halt("dispatch")
    differs += await differences(rig, await replay(rig))
    await rig.stack.resume("dispatch")
    observed = await rig.conclude(recovery_s=recovery_s, recovery_limit_s=REBUILT_WITHIN_S, duplicates_at_most=0)
    return observed.also(
        *differs,
        *_not_recognised(rig, repeated, rig.loads[0]),
        "" if all(rig.first_final(r).response.status is ResponseStatus.OK for r in after.acknowledged) else "not all answered",
        notes=(f"{len(kept)} files of state", f"{before.records} changelog records"),
    )


async def disk_full(rig: Rig) -> Observed:
    """The disk with the state fills up: the dispatchers end and say so, requests wait, and all goes on once there is room."""
    root = rig.stack.settings.data_dir / "state" / "dispatch"
    await rig.stack.halt("dispatch")
    with _small_disk(root):
        await rig.stack.resume("dispatch")
        async with rig.load(REQUESTS, per_s=PER_S) as load:
            await rig.flowing(20)
            _fill(root / "filler")
            refused = await _within(NOTICED_WITHIN_S, lambda: rig.log_count("dispatch", "free some disk space") > 0)
            await _within(NOTICED_WITHIN_S, lambda: len(load.acknowledged) == REQUESTS)
            waited = REQUESTS - len(rig.seen.finals)
            (root / "filler").unlink()
            recovery_s = await rig.recovered(time.time())
        await rig.drained()
        await rig.stack.halt("dispatch")
        differs = await differences(rig, await replay(rig))
    await rig.stack.resume("dispatch")
    observed = await rig.conclude(recovery_s=recovery_s, recovery_limit_s=REBUILT_WITHIN_S, duplicates_at_most=0)
    return observed.also(
        *differs,
        "" if refused else "no dispatcher said that its disk was full",
        "" if waited else "no request waited",
        notes=(f"{waited} waited for the disk",),
    )


async def compacted(rig: Rig) -> Observed:
    """20,000 finished requests in the changelog, written thrice and compacted; then every dispatcher begins with nothing."""
    async with rig.load(REQUESTS, per_s=PER_S) as load:
        pass
    await rig.drained()
    await rig.stack.halt("dispatch", number=signal.SIGKILL)
    for version in range(3):
        await _write_finished(rig, version)
    written = await _after_compaction(rig)
    shutil.rmtree(rig.stack.settings.data_dir / "state", ignore_errors=True)
    begun = time.time()
    async with rig.load(AGAIN, per_s=PER_S):
        await rig.stack.resume("dispatch")
        recovery_s = await rig.recovered(begun)
    repeated = await _sent_again(rig, load)
    await rig.seen.until(lambda: len(_duplicates(rig)) >= repeated, NOTICED_WITHIN_S)
    tables = await rig.fleet.end("tables", signal.SIGKILL)
    await rig.fleet.until_running()
    totals = len({record.key for record in await committed(rig, topics.COST_TOTALS)})
    observed = await rig.conclude(recovery_s=recovery_s, recovery_limit_s=REBUILT_WITHIN_S, duplicates_at_most=0)
    restored = [json.loads(line) for line in rig.log_text("dispatch").splitlines() if '"lane_restored"' in line]
    # A lane may move once more while the dispatchers come back, and then reads only what is new.
    lanes = {line["partition"] for line in restored}
    read = sum(max(line["changelog_records"] for line in restored if line["partition"] == lane) for lane in lanes)
    recovered = [json.loads(line)["totals"] for line in rig.log_text("tables").splitlines() if "cost_table_recovered" in line]
    return observed.also(
        *_not_recognised(rig, repeated, load),
        f"{written.records} records are left of {written.keys} keys: the changelog was not compacted"
        if written.records > 1.2 * written.keys
        else "",
        f"the lanes were rebuilt of {read} records" if read < FINISHED else "",
        f"the cost table has {recovered[-1:]} totals, the dispatcher {totals}" if recovered[-1:] != [totals] else "",
        notes=(f"{read} records read in {max(line['took_ms'] for line in restored[-2:])} ms", f"tables exit {tables.exit_code}"),
    )


def deleted(root: Path, earlier: Path) -> None:
    shutil.rmtree(root)


def corrupt(root: Path, earlier: Path) -> None:
    """Every file has its middle overwritten."""
    for file in (f for f in root.rglob("*") if f.is_file() and f.stat().st_size):
        size = file.stat().st_size
        with file.open("r+b") as opened:
            opened.seek(size // 3)
            opened.write(os.urandom(max(1, size // 3)))


def torn(root: Path, earlier: Path) -> None:
    """Every file has lost its second half, as after a power cut."""
    for file in (f for f in root.rglob("*") if f.is_file()):
        os.truncate(file, file.stat().st_size // 2)


def stale(root: Path, earlier: Path) -> None:
    """An old copy was put back."""
    shutil.rmtree(root)
    shutil.copytree(earlier, root)


@contextmanager
def _small_disk(root: Path) -> Iterator[None]:
    """A disk of its own at `root`, which only the superuser of a Linux machine can make."""
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "penstock-fault", root], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", root], check=True)


def _fill(file: Path) -> None:
    with file.open("wb", buffering=0) as opened:
        while True:
            try:
                opened.write(bytes(4096))
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
                return


async def _within(seconds: float, condition: Callable[[], bool]) -> bool:
    async def holds() -> bool:
        return condition()

    try:
        async with asyncio.timeout(seconds):
            await poll(holds, every_s=0.05)
    except TimeoutError:
        return False
    return True


async def _sent_again(rig: Rig, load: Load) -> int:
    """Publish the requests of a load once more, each under its own id."""
    count = len(load.acknowledged)
    make: Make = partial(_again, load.name)
    async with rig.load(count, per_s=10 * PER_S, make=make):
        return count


def _again(original: str, name: str, number: int) -> InferenceRequest:
    return mixed(original, number)


def _duplicates(rig: Rig) -> list[str]:
    return [notice.request_id for notice in rig.seen.notices if notice.status is ResponseStatus.DUPLICATE]


def _not_recognised(rig: Rig, repeated: int, load: Load) -> list[str]:
    found = _duplicates(rig)
    missing = load.acknowledged.keys() - set(found)
    calls = [call.request_id for call in rig.provider_calls()]
    twice = {r for r in load.acknowledged if calls.count(r) != 1}
    return [
        f"{len(missing)} of {repeated} requests sent again were not recognised" if missing or len(found) != repeated else "",
        f"{len(twice)} of them were not called once" if twice else "",
    ]


async def _write_finished(rig: Rig, version: int, *, count: int = FINISHED) -> None:
    """Finished requests, as dispatchers of a busier hour would have left them; the keys are the same each time."""
    now, lanes, encode = datetime.now(UTC), rig.stack.settings.partitions, SERDE.of(DispatchChange).encode
    state = RequestState(
        RequestPhase.FINISHED, "", "", bytes(32), attempt=1, candidate=0, sent=1, deadline=now, status="ok", finished_at=now
    )
    async with Publisher(bootstrap_servers=rig.stack.bootstrap_servers, client_id="fault-changelog") as publisher:
        for begin in range(0, count, CHUNK):
            records = []
            for number in range(begin, min(begin + CHUNK, count)):
                tenant, request_id = f"tenant-{number % TENANTS}", f"earlier-{number}"
                change = DispatchChange(request=replace(state, tenant=tenant, request_id=request_id, cost_nanousd=version))
                key = f"request/{tenant}/{request_id}"
                records.append(Outgoing(topics.CHANGELOG, key, encode(change), partition=lane_partition(tenant, lanes)))
            await publisher.send_all(records)


async def _after_compaction(rig: Rig) -> Replay:
    """The changelog once little but the last of each key is left, or as it is when that takes too long."""
    give_up_s = time.monotonic() + COMPACTED_WITHIN_S
    while True:
        await asyncio.sleep(2.5)
        # A segment is closed by the first record after its time.
        await _write_finished(rig, 3, count=2 * TENANTS)
        found = await replay(rig)
        if found.records <= 1.2 * found.keys or time.monotonic() > give_up_s:
            return found


CASES = [
    Case("F25", "all dispatchers die: their state against a replay of the changelog", partial(state_lost, damage=None)),
    *(
        Case(f"F25-{damage.__name__}", f"the dispatchers' state directory {what}", partial(state_lost, damage=damage))
        for damage, what in (
            (deleted, "is deleted"),
            (corrupt, "is corrupt"),
            (torn, "is cut off"),
            (stale, "is an old copy"),
        )
    ),
    Case("F25-full", "the disk with the dispatchers' state is full for a while (superuser only)", disk_full),
    Case("F26", "a compacted changelog of 20,000 requests, and all memory lost", compacted, stack=COMPACTING),
]
