"""What `penstock doctor` found, one line a thing, and how single findings are judged. Pure."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from streams.money import plural
from streams.topics import Spread, Topic

SKEW_ALLOWED = timedelta(seconds=2)
LAG_ALLOWED = 1_000
"""Records; more than this is no wave that passes."""


class Level(StrEnum):
    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Check:
    """One finding. `next_step` is what to do about it; empty when there is nothing to do."""

    name: str
    level: Level
    message: str
    next_step: str = ""

    @classmethod
    def ok(cls, name: str, message: str) -> "Check":
        return cls(name, Level.OK, message)

    @classmethod
    def warn(cls, name: str, message: str, next_step: str) -> "Check":
        return cls(name, Level.WARN, message, next_step)

    @classmethod
    def fail(cls, name: str, message: str, next_step: str) -> "Check":
        return cls(name, Level.FAIL, message, next_step)


@dataclass(frozen=True, slots=True)
class Group:
    """A consumer group: how many members it has now, and how many records each topic has waiting for it."""

    name: str
    members: int
    lag: Mapping[str, int]
    partitions: int

    @property
    def waiting(self) -> int:
        return sum(self.lag.values())


def judge_topics(wanted: Mapping[str, Topic], standing: Mapping[str, int], differences: Mapping[str, Collection[str]]) -> Check:
    """`standing` are the partition counts of the topics that are there."""
    missing = sorted(wanted.keys() - standing.keys())
    if missing:
        return Check.fail("topics", f"{', '.join(missing)} missing", "create them with `penstock init`")
    if differences:
        first, why = next(iter(sorted(differences.items())))
        more = f" (and {plural(len(differences) - 1, 'other topic')})" if len(differences) > 1 else ""
        return Check.warn(
            "topics",
            f"{first}: {', '.join(why)}{more}",
            "set it with kafka-configs.sh --alter, or keep it if it is meant so",
        )
    return Check.ok("topics", f"{len(wanted)} there, configured as they should be")


def judge_lanes(wanted: Mapping[str, Topic], standing: Mapping[str, int], partitions: int | None) -> Check:
    """All lane topics need the same count; `partitions` is what the settings say, None when they do not matter."""
    counts = {name: standing[name] for name, topic in wanted.items() if topic.spread is Spread.LANES and name in standing}
    if not counts:
        return Check.fail("lanes", "there are no lane topics", "create them with `penstock init`")
    if len(set(counts.values())) > 1:
        said = ", ".join(f"{name} {count}" for name, count in counts.items())
        return Check.fail("lanes", f"the lane topics differ: {said}", "records are placed by lane: recreate them with one count")
    count = next(iter(counts.values()))
    if partitions is not None and partitions != count:
        return Check.fail(
            "lanes", f"the topics have {count}, the settings say {partitions}", f"set PENSTOCK_PARTITIONS={count} for every role"
        )
    return Check.ok("lanes", plural(count, "lane"))


def judge_group(group: Group) -> Check:
    """A group's lag. Offsets count transaction markers too, so one a partition is as good as none."""
    name = f"group {group.name}"
    waiting = 0 if group.waiting <= group.partitions else group.waiting
    at_work = plural(group.members, "member")
    if waiting == 0:
        return Check.ok(name, f"{at_work}, nothing waits")
    said = f"{at_work}, {plural(waiting, 'record')} waiting in {', '.join(sorted(t for t, lag in group.lag.items() if lag))}"
    if group.members == 0:
        return Check.fail(name, said, "no process of this role runs: start one with `penstock worker` (or `penstock up`)")
    if waiting > LAG_ALLOWED:
        return Check.warn(name, said, "if it does not shrink, start more processes of this role, up to one a partition")
    return Check.ok(name, said)


def judge_clock(newest: datetime | None, now: datetime) -> Check:
    """`newest` is the newest record's timestamp: one from the future means that two clocks differ."""
    if newest is None:
        return Check.ok("clock", "no record to compare it with yet")
    ahead = newest - now
    if ahead > SKEW_ALLOWED:
        return Check.warn(
            "clock",
            f"the newest record is {ahead.total_seconds():.1f} s in the future of this machine",
            "deadlines follow record timestamps: synchronise the clocks (NTP) of this machine and of those that publish",
        )
    return Check.ok("clock", "no record is from the future of this machine")
