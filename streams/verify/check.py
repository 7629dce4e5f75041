"""The check itself: read to the ends, judge, and read on while waiting may still mend what was found."""

import asyncio
import time
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from streams import topics
from streams.bootstrap import prepare_serde
from streams.settings import Settings
from streams.verify.extract import READ, Extract
from streams.verify.facts import About, Fact
from streams.verify.judging import judged
from streams.verify.log import Log, open_log
from streams.verify.shelf import Shelf
from streams.verify.tally import Tally, Terms
from streams.verify.verdict import ProblemKind, Verdict
from streams.verify.witnesses import acknowledged_requests, provider_calls

_PAUSE_S = 0.25
_HOPELESS = frozenset(
    {
        ProblemKind.DUPLICATE_FINAL,
        ProblemKind.DOUBLE_CHARGE,
        ProblemKind.CHARGE_DIFFERS,
        ProblemKind.TOO_MANY_ATTEMPTS,
        ProblemKind.UNREADABLE,
        ProblemKind.ARRIVED_TWICE,
        ProblemKind.TOKENS_DIFFER,
    }
)
"""What no waiting mends."""


async def verify(
    settings: Settings,
    *,
    call_log: Path | None = None,
    acknowledged_log: Path | None = None,
    wait_s: float = 0.0,
    most_problems: int = 20,
) -> Verdict:
    """Read every topic from its beginning and compare what stands there.

    `call_log` is the simulator's, `acknowledged_log` a publisher's. For up to `wait_s` seconds it reads on while something is
    in flight or may yet come right. The verdict carries `most_problems` problems at most, and counts all. Raises
    SettingsError when Kafka, a topic or a log cannot be read.
    """
    began_s = time.monotonic()
    serde = await prepare_serde(settings, ())
    with Shelf() as shelf:
        async with open_log(settings, READ) as log:
            extract = Extract(
                serde,
                timeout_us=int(settings.request_timeout_s * 1e6),
                horizon_us=await _oldest_us(log, topics.REQUESTS, topics.RESPONSES, topics.ATTEMPTS, topics.COSTS),
                costs_horizon_us=await _oldest_us(log, topics.COSTS),
            )
            while True:
                await _catch_up(log, extract, shelf)
                read_s = time.monotonic()
                with Shelf() as witnesses:
                    if call_log is not None:
                        _put_all(provider_calls(call_log), witnesses)
                    if acknowledged_log is not None:
                        _put_all(acknowledged_requests(acknowledged_log), witnesses)
                    terms = await _terms(settings, log, with_calls=call_log is not None)
                    tally = judged(terms, shelf, witnesses)
                now_s = time.monotonic()
                if now_s - began_s >= wait_s or not tally.found.keys() - _HOPELESS:
                    return _verdict(tally, extract, terms, took_s=now_s - began_s, most_problems=most_problems)
                # A large log takes long to judge: do not spend the waiting on that alone.
                pause_s = max(_PAUSE_S, 2 * (now_s - read_s))
                await asyncio.sleep(min(pause_s, max(0.0, began_s + wait_s - now_s)))


async def _oldest_us(log: Log, *names: str) -> int:
    retention_us = {name: topics.all_topics(())[name].retention_ms * 1000 for name in names}
    return await log.oldest_us(names, retention_us)


async def _catch_up(log: Log, extract: Extract, shelf: Shelf) -> None:
    ends = await log.ends()
    async for records in log.rest(ends):
        for record in records:
            _put_all(extract.facts(record), shelf)


async def _terms(settings: Settings, log: Log, *, with_calls: bool) -> Terms:
    now_us = time.time_ns() // 1000
    ends = await log.ends()
    return Terms(
        now_us=now_us,
        quiet=await log.is_at(ends),
        ends=ends,
        with_calls=with_calls,
        max_attempts=settings.max_attempts,
        dedupe_horizon_us=int(settings.dedupe_horizon_s * 1e6),
    )


def _put_all(said: Iterable[tuple[About, Fact]], shelf: Shelf) -> None:
    for about, fact in said:
        shelf.put(about, fact)


def _verdict(tally: Tally, extract: Extract, terms: Terms, *, took_s: float, most_problems: int) -> Verdict:
    counts = asdict(tally)
    for name in ("found", "wrong_totals"):
        del counts[name]
    if not terms.with_calls:
        counts |= dict.fromkeys(("provider_calls", "provider_input_tokens", "provider_output_tokens"))
    return Verdict(
        ok=tally.problem_count == 0,
        totals_match=tally.wrong_totals == 0,
        records=extract.records,
        skipped=extract.skipped,
        took_s=round(took_s, 3),
        problems=tally.first(most_problems),
        **counts,
    )
