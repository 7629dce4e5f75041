"""What is computed from the fields of a record on its way to a fact. Our own ways of doing it, not the pipeline's."""

import hashlib
from datetime import datetime

from schemas.calls import Usage
from schemas.ledger import CostEvent, CostKind
from streams.verify.facts import Amounts

DIGESTED_BYTES = 256 * 1024
"""A dead letter carries this much of the record at most."""

_UNKNOWN_TENANT = "unknown"
_MAX_TENANT_CHARS = 256


def amounts_of(event: CostEvent, usage: Usage) -> Amounts:
    call = event.kind is CostKind.CALL
    return Amounts(
        calls=int(call),
        cost_nanousd=event.cost_nanousd or 0,
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cache_read_input_tokens=usage.cache_read_input_tokens,
        cache_write_input_tokens=usage.cache_write_input_tokens,
        estimated_calls=int(call and event.estimated) - int(event.replaces_estimate),
        wasted_calls=int(call and event.wasted),
        unpriced_calls=int(call and event.cost_nanousd is None),
        cache_hits=int(event.kind is CostKind.CACHE_HIT),
        avoided_nanousd=event.avoided_nanousd or 0,
    )


def total_key(lane: str, provider: str, model: str, at: datetime) -> str:
    """Lane, provider, model and hour, told apart by their lengths: our own, not the topic's key."""
    return f"{len(lane)}:{lane} {len(provider)}:{provider} {model} {at:%Y-%m-%dT%H}"


def us(at: datetime) -> int:
    return int(at.timestamp()) * 1_000_000 + at.microsecond


def hour_us(at: datetime) -> int:
    return int(at.timestamp()) // 3600 * 3_600_000_000


def digest(value: bytes) -> tuple[int, str]:
    return len(value), hashlib.sha256(value[:DIGESTED_BYTES]).hexdigest()[:16]


def tenant_of(said: str | None, key: bytes | None) -> str:
    """Whose the request is: as it says, else as its key says, when that can be a name."""
    for name in (said, None if key is None else key.decode("utf-8", errors="replace")):
        if name and len(name) <= _MAX_TENANT_CHARS and name.isprintable() and not name.isspace():
            return name
    return _UNKNOWN_TENANT


def sequence_of(event_id: str, call_id: str) -> int:
    """The number of an adjustment of the call; 0 when the event id does not say one.

    >>> sequence_of("c1/adjusted/2", "c1"), sequence_of("c1/adjusted/02", "c1"), sequence_of("c1", "c1")
    (2, 0, 0)
    """
    number = event_id.removeprefix(f"{call_id}/adjusted/")
    return int(number) if number.isascii() and number.isdecimal() and number[0] != "0" and number != event_id else 0


def text_of(key: bytes | None) -> str | None:
    return None if key is None else key.decode("utf-8", errors="replace")


def printable(text: str) -> str:
    r"""The text in one line, with what a terminal would obey written out: ids and messages come from anybody.

    >>> print(printable("gone\n\x1b[2J"))
    gone\n\x1b[2J
    """
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
