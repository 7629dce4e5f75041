"""The check itself: read to the ends, judge, and read on while waiting may still mend what was found."""

import asyncio
import time
from collections.abc import Iterable
from contextlib import AsyncExitStack
from pathlib import Path

from streams import topics
from streams.bootstrap import prepare_serde
from streams.settings import Settings
from streams.verify import transactions
from streams.verify.checkpoint import Checkpoint, State, form, open_checkpoint
from streams.verify.committed import GroupOffsets, open_group_offsets
from streams.verify.extract import READ, Extract
from streams.verify.facts import About, Fact
from streams.verify.judging import judged, with_past
from streams.verify.log import Log, open_log
from streams.verify.outcome import Reading, verdict_of
from streams.verify.shelf import Shelf, by_key
from streams.verify.sources import Sources
from streams.verify.tally import Tally, Terms
from streams.verify.transactions import Uncommitted, open_uncommitted
from streams.verify.verdict import Problem, ProblemKind, Verdict
from streams.verify.witnesses import Mark

_PAUSE_S = 0.25
_HORIZON = (topics.REQUESTS, topics.ROUTED, topics.RESPONSES, topics.ATTEMPTS, topics.COSTS)
_HOPELESS = frozenset(
    {
        ProblemKind.DUPLICATE_FINAL,
        ProblemKind.DOUBLE_CHARGE,
        ProblemKind.CHARGE_DIFFERS,
        ProblemKind.BAD_ADJUSTMENT,
        ProblemKind.TOO_MANY_ATTEMPTS,
        ProblemKind.TOO_MANY_DUPLICATE_CALLS,
        ProblemKind.UNEXPECTED_DEAD_LETTER,
        ProblemKind.OTHER_REASON,
        ProblemKind.UNREADABLE,
        ProblemKind.OFFSET_WENT_BACK,
        ProblemKind.PASSED_UNFINISHED,
        ProblemKind.ARRIVED_TWICE,
        ProblemKind.TOKENS_DIFFER,
        ProblemKind.ESTIMATE_TOO_LOW,
    }
)
"""What no waiting mends."""


async def verify(
    settings: Settings,
    *,
    call_log: Path | None = None,
    acknowledged_log: Path | None = None,
    injected: Path | None = None,
    duplicate_calls_at_most: int | None = None,
    checkpoint: Path | None = None,
    since: Path | None = None,
    wait_s: float = 0.0,
    most_problems: int = 20,
) -> Verdict:
    """Read every topic from its beginning and compare what stands there.

    `call_log` is the simulator's, `acknowledged_log` a publisher's, `injected` the list of the bad records that were put in on
    purpose. With `checkpoint` only what came after the last clean verdict is read, and a clean and quiet verdict is kept
    there for the next run; `since` goes on from a checkpoint and leaves it as it is. For up to `wait_s` seconds it reads on
    while something is in flight or may yet come right. The verdict carries `most_problems` problems at most, and counts all.
    Raises SettingsError when Kafka, a topic, a log or a checkpoint cannot be read.
    """
    began_s = time.monotonic()
    sources = Sources(call_log, acknowledged_log, injected)
    async with AsyncExitStack() as opened:
        shelf = opened.enter_context(Shelf())
        path = checkpoint or since
        past = opened.enter_context(open_checkpoint(path, must_exist=since is not None)) if path is not None else None
        log = await opened.enter_async_context(open_log(settings, READ))
        groups = await opened.enter_async_context(open_group_offsets(settings, log.providers))
        uncommitted = await opened.enter_async_context(open_uncommitted(settings, log.partitions))
        extract = Extract(
            await prepare_serde(settings, log.providers),
            timeout_us=int(settings.request_timeout_s * 1e6),
            horizon_us=await _oldest_us(log, *_HORIZON),
            costs_horizon_us=await _oldest_us(log, topics.COSTS),
        )
        check = _Check(
            settings=settings,
            sources=sources,
            past=past,
            shelf=shelf,
            log=log,
            groups=groups,
            uncommitted=uncommitted,
            extract=extract,
            duplicate_calls_at_most=duplicate_calls_at_most,
        )
        await check.resume()
        while True:
            await check.read()
            read_s = time.monotonic()
            with Shelf() as witnesses:
                tally, terms, marks = await check.judge(witnesses)
                now_s = time.monotonic()
                hopeless = ProblemKind.HUNG_TRANSACTION in tally.found or not tally.found.keys() - _HOPELESS
                if now_s - began_s >= wait_s or hopeless:
                    keeps = checkpoint is not None and tally.problem_count == 0 and terms.quiet
                    if keeps:
                        await check.keep(tally, marks, witnesses)
                    reading = check.reading(sources, terms, keeps=keeps, took_s=time.monotonic() - began_s)
                    return verdict_of(tally, reading, most_problems=most_problems)
            # A large log takes long to judge: do not spend the waiting on that alone.
            pause_s = max(_PAUSE_S, 2 * (now_s - read_s))
            await asyncio.sleep(min(pause_s, max(0.0, began_s + wait_s - now_s)))


class _Check:
    """One check and what it reads."""

    def __init__(
        self,
        *,
        settings: Settings,
        sources: Sources,
        past: Checkpoint | None,
        shelf: Shelf,
        log: Log,
        groups: GroupOffsets,
        uncommitted: Uncommitted,
        extract: Extract,
        duplicate_calls_at_most: int | None,
    ) -> None:
        self._settings, self._sources, self._past, self._shelf = settings, sources, past, shelf
        self._log, self._groups, self._uncommitted, self._extract = log, groups, uncommitted, extract
        self._duplicate_calls_at_most = duplicate_calls_at_most
        self._state: State | None = None  # what was resumed from
        self._own_terms = {
            "form": form(),
            "cluster": log.cluster_id,
            "app": settings.app,
            "max_attempts": settings.max_attempts,
            "dedupe_horizon_s": settings.dedupe_horizon_s,
            "request_timeout_s": settings.request_timeout_s,
            "sources": sources.names(),
        }

    async def resume(self) -> None:
        """Go on from the checkpoint; begin anew where it is of another log, of other files, or of other terms."""
        if self._past is None or (state := self._past.state) is None:
            return
        same = state.terms == self._own_terms and self._sources.have(state.marks)
        if not same or not await self._log.go_to(state.positions):
            self._past.begin_anew()
            return
        await self._groups.go_to(state.group_positions)
        self._groups.history.states.update(state.group_states)
        self._state = state

    async def read(self) -> None:
        """Everything up to the ends as they are now. What the groups have committed is asked first: its traces come earlier."""
        self._commits = await self._groups.commits()
        ends = await self._log.ends()
        async for records in self._log.rest(ends):
            for record in records:
                _put_all(self._extract.facts(record), self._shelf)
        async for about, fact in self._groups.news():
            self._shelf.put(about, fact)

    async def judge(self, witnesses: Shelf) -> tuple[Tally, Terms, dict[str, Mark]]:
        marks = self._sources.read(witnesses, self._state.marks if self._state is not None else {})
        settings, now_us = self._settings, time.time_ns() // 1000
        ends_with_open = await self._uncommitted.ends()
        ends = await self._log.ends()
        held = await self._uncommitted.held(ends_with_open, ends)
        terms = Terms(
            now_us=now_us,
            quiet=not held and await self._log.is_at(ends),
            ends=ends,
            with_calls=self._sources.call_log is not None,
            max_attempts=settings.max_attempts,
            dedupe_horizon_us=int(settings.dedupe_horizon_s * 1e6),
            commits=self._commits,
            injected_keys=self._sources.injected_keys(),
            keeps_checkpoint=self._past is not None,
        )
        tally = await judged(terms, self._shelf, witnesses, past=self._past)
        if self._state is not None:
            tally.last_final_us = max(tally.last_final_us, self._state.last_final_us)
        timeout_us = settings.transaction_timeout_ms * 1000
        transactions.judge(held, tally, now_us=now_us, timeout_us=timeout_us, grace_us=terms.grace_us)
        most = self._duplicate_calls_at_most
        if most is not None and tally.duplicate_calls > most:
            message = (
                f"{tally.duplicate_calls} calls beyond one an order, {most} were to be expected; see which workers died, and when"
            )
            tally.add(Problem(ProblemKind.TOO_MANY_DUPLICATE_CALLS, "all requests", message))
        return tally, terms, marks

    async def keep(self, tally: Tally, marks: dict[str, Mark], witnesses: Shelf) -> None:
        """The next run goes on from here."""
        past = self._past
        if past is None:
            return
        records, skipped = self._counted()
        state = State(
            terms=self._own_terms,
            positions=await self._log.positions(),
            group_positions=await self._groups.positions(),
            group_states=self._groups.history.states,
            marks=marks,
            counts=tally.counts(),
            unsettled=sorted(tally.unsettled),
            records=records,
            skipped=skipped,
            last_final_us=tally.last_final_us,
        )
        past.keep(state, ((about, with_past(about, found, past)) for about, found in by_key(self._shelf, witnesses)))

    def _counted(self) -> tuple[int, int]:
        """Records and skipped ones, those before the checkpoint included."""
        before = self._state
        return (
            self._extract.records + (before.records if before is not None else 0),
            self._extract.skipped + (before.skipped if before is not None else 0),
        )

    def reading(self, sources: Sources, terms: Terms, *, keeps: bool, took_s: float) -> Reading:
        records, skipped = self._counted()
        return Reading(
            sources=sources,
            terms=terms,
            records=records,
            skipped=skipped,
            new_records=self._extract.records,
            took_s=took_s,
            resumed=self._state is not None,
            checkpointed=keeps,
            not_checked=self._groups.not_checked,
            bounded=self._duplicate_calls_at_most is not None,
        )


async def _oldest_us(log: Log, *names: str) -> int:
    retention_us = {name: topics.all_topics(())[name].retention_ms * 1000 for name in names}
    return await log.oldest_us(names, retention_us)


def _put_all(said: Iterable[tuple[About, Fact]], shelf: Shelf) -> None:
    for about, fact in said:
        shelf.put(about, fact)
