"""Absolute totals of an hour: the fold of cost events, in any order."""

from datetime import UTC, datetime

from schemas.calls import Usage
from schemas.ledger import CostEvent, CostKind, CostTotal

_NOTHING = Usage(0, 0)


def total_key(of: CostEvent | CostTotal) -> str:
    """The key that an event's or a total's hour is kept under: `lane|provider|model|hour`.

    `%` and `|` inside a part are percent-encoded, so that no two totals share a key.

    >>> part("a|b%")
    'a%7Cb%25'
    """
    hour = hour_of(of.occurred_at) if isinstance(of, CostEvent) else of.hour
    return f"{part(of.lane)}|{part(of.provider)}|{part(of.model)}|{hour:%Y-%m-%dT%H}"


def part(text: str) -> str:
    """One part of a key, with `%` and `|` percent-encoded."""
    if "%" not in text and "|" not in text:
        return text
    return text.replace("%", "%25").replace("|", "%7C")


def hour_of(at: datetime) -> datetime:
    """Start of the hour, UTC.

    >>> hour_of(datetime(2026, 1, 31, 15, 59, 3, tzinfo=UTC)).isoformat()
    '2026-01-31T15:00:00+00:00'
    """
    return at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def add(total: CostTotal | None, event: CostEvent, *, now: datetime) -> CostTotal:
    """The total with one event more; None is the total of no event.

    Sums and a latest time alone, so the order of events does not matter. Only a CALL counts as a call; a CACHE_HIT counts as
    a hit; an adjustment, or a kind that a newer version writes, changes money and tokens alone, and
    an adjustment may take an estimate back. Money that is unknown is
    counted in `unpriced_calls` and not in the sum.
    """
    if total is None:
        total = CostTotal(
            tenant=event.tenant,
            lane=event.lane,
            provider=event.provider,
            model=event.model,
            hour=hour_of(event.occurred_at),
            updated_at=now,
        )
    usage = event.usage or _NOTHING
    is_call = event.kind is CostKind.CALL
    return CostTotal(
        tenant=total.tenant,
        lane=total.lane,
        provider=total.provider,
        model=total.model,
        hour=total.hour,
        updated_at=max(total.updated_at, now),
        calls=total.calls + is_call,
        cost_nanousd=total.cost_nanousd + (event.cost_nanousd or 0),
        input_tokens=total.input_tokens + usage.input_tokens,
        output_tokens=total.output_tokens + usage.output_tokens,
        cache_read_input_tokens=total.cache_read_input_tokens + usage.cache_read_input_tokens,
        cache_write_input_tokens=total.cache_write_input_tokens + usage.cache_write_input_tokens,
        estimated_calls=total.estimated_calls + (is_call and event.estimated) - event.replaces_estimate,
        wasted_calls=total.wasted_calls + (is_call and event.wasted),
        unpriced_calls=total.unpriced_calls + (is_call and event.cost_nanousd is None),
        cache_hits=total.cache_hits + (event.kind is CostKind.CACHE_HIT),
        avoided_nanousd=total.avoided_nanousd + (event.avoided_nanousd or 0),
    )
