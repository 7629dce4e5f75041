"""Everything between Kafka and the verdict, for logs made by hand: whole, or from a checkpoint on."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path

from streams.verify.checkpoint import Checkpoint, State
from streams.verify.extract import Extract
from streams.verify.facts import About, Fact
from streams.verify.judging import judged, with_past
from streams.verify.shelf import Shelf, by_key
from streams.verify.sources import Sources
from streams.verify.tally import Commit, Tally, Terms
from streams.verify.verdict import ProblemKind
from tests.fakes.hand_made_log import T0, HandMadeLog, Line

LATER_US = int((T0 + timedelta(hours=1)).timestamp() * 1e6)


def check(
    log: HandMadeLog,
    tmp_path: Path,
    *,
    now_us: int = LATER_US,
    quiet: bool = True,
    acknowledged: Path | None = None,
    injected: Path | None = None,
    commits: Mapping[tuple[str, int], Commit] | None = None,
    said: Iterable[tuple[About, Fact]] = (),
    lines: Sequence[Line] | None = None,
    past: Checkpoint | None = None,
    keep: bool = False,
) -> Tally:
    """`lines` are those to read, all by default; `said` are facts besides. With `keep` a clean end becomes the checkpoint."""
    extract = Extract(log.serde, timeout_us=600_000_000)
    read = list(log.lines()) if lines is None else list(lines)
    sources = Sources(tmp_path / "calls.jsonl", acknowledged, injected)
    if lines is None:
        log.write_call_log(tmp_path / "calls.jsonl")
    ends = log.ends()
    if lines is not None:
        ends = {topic: [0] for topic in ends}
        known = past.state.positions if past is not None and past.state is not None else {}
        ends |= {topic: [of[0]] for topic, of in known.items()}
        ends |= {line.topic: [line.offset + 1] for line in read}
    marks = past.state.marks if past is not None and past.state is not None else {}
    with Shelf() as shelf, Shelf() as witnesses:
        for about, fact in [fact for line in read for fact in extract.facts(line)] + list(said):
            shelf.put(about, fact)
        reached = sources.read(witnesses, marks)
        terms = Terms(
            now_us=now_us,
            quiet=quiet,
            ends=ends,
            with_calls=True,
            max_attempts=3,
            dedupe_horizon_us=86_400_000_000,
            commits=commits or {},
            injected_keys=sources.injected_keys(),
            keeps_checkpoint=past is not None,
        )
        tally = asyncio.run(judged(terms, shelf, witnesses, past=past))
        if keep and past is not None and tally.problem_count == 0:
            positions = {topic: {0: of[0]} for topic, of in ends.items()}
            state = State({}, positions, marks=reached, counts=tally.counts(), unsettled=sorted(tally.unsettled))
            past.keep(state, ((a, with_past(a, found, past)) for a, found in by_key(shelf, witnesses)))
        return tally


def kinds(tally: Tally) -> set[ProblemKind]:
    return set(tally.found)
