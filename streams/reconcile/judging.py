"""What each call and each line of the export comes to."""

from collections.abc import Iterator
from dataclasses import dataclass

from processors.reconcile import join
from processors.reconcile.lines import Line
from schemas.calls import Usage
from streams.reconcile.index import Booked, Index


@dataclass(frozen=True, slots=True)
class Terms:
    """What may be concluded from what the export does not have.

    `span_us`: the time that it covers, None when that is not known. `complete`: the user says that it has every call of it.
    Within `margin_us` of its ends nothing is concluded, for two clocks may put a call on either side.
    """

    span_us: tuple[int, int] | None
    complete: bool = False
    margin_us: int = 0

    def covers(self, started_us: int, *, margin_us: int = 0) -> bool:
        return self.span_us is not None and self.span_us[0] + margin_us <= started_us <= self.span_us[1] - margin_us


@dataclass(frozen=True, slots=True)
class Agreed:
    """Both sides say the same."""

    booked: Booked


@dataclass(frozen=True, slots=True)
class Differs:
    """The ledger is to say `usage`; None: the provider has no such call."""

    booked: Booked
    usage: Usage | None


@dataclass(frozen=True, slots=True)
class OnlyOurs:
    """Charged, started in the time that the export covers, and not in it."""

    booked: Booked


@dataclass(frozen=True, slots=True)
class OnlyTheirs:
    """Billed, and unknown to the ledger."""

    line: Line


@dataclass(frozen=True, slots=True)
class Outside:
    """Started at a time that the export does not cover, as far as it tells."""

    booked: Booked


Finding = Agreed | Differs | OnlyOurs | OnlyTheirs | Outside


def judge(index: Index, terms: Terms) -> Iterator[Finding]:
    """Every call and every line, once. The index must have been paired.

    A line without tokens that nobody knows bills nothing and is left out. Where lines go by the provider's id, a lost call may
    be among those that nobody knows: then nothing is concluded from its absence while there are such lines.
    """
    for booked, told in index.paired():
        usage = join.adjustment(booked.charged, told)
        yield Agreed(booked) if usage is None else Differs(booked, usage)
    strangers = 0
    for line in index.only_theirs():
        if line.told.input_tokens + line.told.output_tokens > 0:
            strangers += 1
            yield OnlyTheirs(line)
    conclusive = terms.complete and (strangers == 0 or not index.has_response_keys())
    for booked in index.only_ours():
        yield _absent(booked, terms, conclusive=conclusive)


def _absent(booked: Booked, terms: Terms, *, conclusive: bool) -> Finding:
    started_us = round(booked.started_at.timestamp() * 1_000_000)
    if not terms.covers(started_us):
        return Outside(booked)
    if join.is_free(booked.charged):
        return Agreed(booked)
    if conclusive and booked.charged.estimated and terms.covers(started_us, margin_us=terms.margin_us):
        return Differs(booked, None)
    return OnlyOurs(booked)
