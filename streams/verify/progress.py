"""Judges how a reader went through a partition: never back, and never beyond the end. Its facts come merged into one."""

from collections.abc import Sequence

from streams import topics
from streams.verify.facts import Fact, Moved
from streams.verify.tally import Tally, Terms
from streams.verify.verdict import Problem, ProblemKind

GROUP_OFFSETS = "__consumer_offsets"
GROUP = "group "
"""How the name of a reader begins that is a consumer group; the dispatcher's positions stand in its changelog."""


def judge(name: str, facts: Sequence[Fact], terms: Terms, tally: Tally) -> None:
    """`name` is `<reader> on <topic>-<partition>`."""
    moved = next((f for f in facts if isinstance(f, Moved)), None)
    if moved is None:
        return
    reader, _, place = name.rpartition(" on ")
    topic, _, partition = place.rpartition("-")
    where = GROUP_OFFSETS if reader.startswith(GROUP) else topics.CHANGELOG
    if moved.back_from >= 0:
        generation = f" in generation {moved.back_generation}" if moved.back_generation >= 0 else ""
        message = (
            f"went back from {moved.back_from} to {moved.back_to}{generation}: records are done twice, and what was committed "
            "was not kept; look for a second deployment with the same names, or a broker that lost data"
        )
        tally.add(Problem(ProblemKind.OFFSET_WENT_BACK, name, message, where, moved.partition, moved.back_offset))
    ends = terms.ends.get(topic, ())
    if int(partition) < len(ends) and moved.to > ends[int(partition)]:
        kind = ProblemKind.OFFSET_BEYOND_END if terms.quiet else ProblemKind.IN_FLIGHT
        message = (
            f"says that it has read up to {moved.to}, but the partition ends at {ends[int(partition)]}: what comes next would be "
            "passed over; was the topic made anew, or has the broker lost its end?"
        )
        tally.add(Problem(kind, name, message, where, moved.partition, moved.offset))


def merged(earlier: Fact, later: Fact) -> Fact | None:
    """The later word, with the first step back of either; None when these are other facts."""
    if not (isinstance(earlier, Moved) and isinstance(later, Moved)):
        return None
    began = later.first if later.first >= 0 else later.to
    both = later._replace(fresh=earlier.fresh, first=earlier.first if earlier.first >= 0 else earlier.to)
    if earlier.back_from >= 0:
        return both._replace(
            back_from=earlier.back_from,
            back_to=earlier.back_to,
            back_offset=earlier.back_offset,
            back_generation=earlier.back_generation,
        )
    if later.fresh or began >= earlier.to:
        return both
    return both._replace(back_from=earlier.to, back_to=began, back_offset=later.offset, back_generation=later.generation)
