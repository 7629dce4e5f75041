"""F24: clocks that are wrong, and that jump."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from schemas.outcomes import ResponseStatus
from schemas.requests import InferenceRequest
from streams.clock import OFFSET_FILE_VARIABLE
from tests.fault.case import CALM, OPENAI, PROVIDERS, Case, Observed, StackSpec
from tests.fault.cases._parts import all_children, restart
from tests.fault.load import mixed
from tests.fault.rig import Rig

TEN_MINUTES_S, HOUR_S = 600.0, 3_600.0
TIMEOUT_S = 1_200.0
"""Of requests that name no deadline: ten minutes more or less do not expire them."""
DEADLINE_S = 60.0
ANSWERED_WITHIN_S = 20.0
SETTLE_S = 0.3
FAILING = {**CALM, "faults": [{"fault": "http_503", "rate": 0.3}]}
OFTEN_FAILING = {**CALM, "faults": [{"fault": "http_503", "rate": 0.35}]}
"""At both providers, so that some requests wait for a retry whenever a clock moves."""
SPEC = StackSpec(settings={"request_timeout_s": TIMEOUT_S})


async def ten_minutes_apart(rig: Rig) -> Observed:
    """Of each role one process is ten minutes ahead and one behind; nobody notices, but who has asked for a deadline."""
    await _with_clocks(rig)
    await rig.profile(OPENAI, FAILING)
    await _set(rig, {name: TEN_MINUTES_S if name.endswith("-0") else -TEN_MINUTES_S for name in rig.fleet.names()})
    async with rig.load(150, per_s=40) as load, rig.load(40, per_s=10, make=with_deadline) as bounded:
        pass
    took_s = await rig.caught_up(max(load.acknowledged.values()), within_s=ANSWERED_WITHIN_S)
    observed = await _conclude(rig)
    return observed.also(
        *_not_ok(rig, list(load.acknowledged)),
        *_not_sane(rig, list(bounded.acknowledged)),
        f"{observed.estimated} calls counted as lost, though all were reported" if observed.estimated else "",
        notes=(f"answered {took_s:.1f} s after the last request",),
    )


async def ten_minutes_ahead(rig: Rig) -> Observed:
    """All clocks jump ahead by ten minutes while calls are under way, and are put right later."""
    await _with_clocks(rig)
    await rig.profile(OPENAI, FAILING)
    async with rig.load(150, per_s=40) as load:
        await rig.flowing(50)
        await _set(rig, dict.fromkeys(rig.fleet.names(), TEN_MINUTES_S))
    took_s = await rig.caught_up(max(load.acknowledged.values()), within_s=ANSWERED_WITHIN_S)
    observed = await _conclude(rig)
    return observed.also(*_not_ok(rig, list(load.acknowledged)), notes=(f"answered {took_s:.1f} s after the last request",))


async def back_an_hour(rig: Rig) -> Observed:
    """All clocks go back by an hour while calls are under way and requests wait for a retry; later they are put right."""
    await _with_clocks(rig)
    for provider in PROVIDERS:
        await rig.profile(provider, OFTEN_FAILING)
    async with rig.load(150, per_s=40) as load:
        await rig.flowing(50)
        await _set(rig, dict.fromkeys(rig.fleet.names(), -HOUR_S))
    took_s = await rig.caught_up(max(load.acknowledged.values()), within_s=ANSWERED_WITHIN_S)
    observed = await _conclude(rig)
    return observed.also(*_not_ok(rig, list(load.acknowledged)), notes=(f"answered {took_s:.1f} s after the last request",))


def with_deadline(name: str, number: int) -> InferenceRequest:
    return replace(mixed(name, number), deadline=datetime.now(UTC) + timedelta(seconds=DEADLINE_S))


async def _with_clocks(rig: Rig) -> None:
    """Every worker process of ours has a clock that can be moved; once a stack, for it goes right while no file stands."""
    _folder(rig).mkdir(exist_ok=True)
    workers = [child for child in all_children(rig) if child.name.rpartition("-")[0] in rig.fleet.spec.roles]
    still = [child for child in workers if OFFSET_FILE_VARIABLE not in child.part.environment]  # type: ignore[attr-defined]
    await asyncio.gather(*(restart(c, {OFFSET_FILE_VARIABLE: str(_folder(rig) / c.name)}) for c in still))
    await _set(rig, {})


async def _set(rig: Rig, offsets_s: Mapping[str, float]) -> None:
    """Move these clocks, put all others right, and wait until every process has looked."""
    for file in _folder(rig).iterdir():
        if file.name not in offsets_s:
            file.unlink()
    for name, offset_s in offsets_s.items():
        draft = rig.fleet.folder / "clock"
        draft.write_text(str(offset_s), encoding="ascii")
        draft.replace(_folder(rig) / name)
    await asyncio.sleep(SETTLE_S)


def _folder(rig: Rig) -> Path:
    return rig.fleet.folder / "clocks"


async def _conclude(rig: Rig) -> Observed:
    """I6 goes by when the processes say that they did something, which is wrong here: whether they did must do."""
    await rig.calm()
    await _set(rig, {})
    await rig.drained()
    rig.seen.done_at = dict.fromkeys(rig.seen.done_at, 0.0)
    return await rig.conclude(duplicates_at_most=0, deaths=0)


def _not_ok(rig: Rig, request_ids: list[str]) -> list[str]:
    statuses = [rig.first_final(r).response.status for r in request_ids]
    wrong = [status for status in statuses if status is not ResponseStatus.OK]
    return [f"{len(wrong)} of {len(statuses)} requests ended otherwise than ok, {wrong[0]} for one"] if wrong else []


def _not_sane(rig: Rig, request_ids: list[str]) -> list[str]:
    """Soon answered, or expired by a clock that holds it for late and then not called any more: never left to wait."""
    problems = []
    for request_id in request_ids:
        final = rig.first_final(request_id)
        if (took_s := final.read_at - rig.acknowledged()[request_id]) > ANSWERED_WITHIN_S:
            problems.append(f"{request_id}, with a deadline, was answered after {took_s:.0f} s")
        if final.response.status not in {ResponseStatus.OK, ResponseStatus.EXPIRED}:
            problems.append(f"{request_id}, with a deadline, ended as {final.response.status}")
        if final.response.status is ResponseStatus.EXPIRED and final.response.attempts == 0 and rig.seen.call_ids_of(request_id):
            problems.append(f"{request_id} was called after it had expired")
    return problems


CASES = [
    Case("F24", "clocks ten minutes apart", ten_minutes_apart, stack=SPEC),
    Case("F24-ahead", "all clocks jump ahead by ten minutes", ten_minutes_ahead, stack=SPEC),
    Case("F24-back", "all clocks go back by an hour", back_an_hour, stack=SPEC),
]
