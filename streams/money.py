"""Money and sizes for eyes."""

from processors.cost.dollars import dollars

__all__ = ["cost", "dollars", "duration", "plural"]


def cost(nanousd: int | None) -> str:
    """As `dollars`; a price that is not known is not zero.

    >>> cost(None)
    'price unknown'
    """
    return "price unknown" if nanousd is None else dollars(nanousd)


def duration(latency_ms: float) -> str:
    """A time that took that long.

    >>> duration(12.4), duration(2340)
    ('12 ms', '2.34 s')
    """
    return f"{latency_ms:.0f} ms" if latency_ms < 1000 else f"{latency_ms / 1000:.2f} s"


def plural(count: int, noun: str) -> str:
    """A count with its noun.

    >>> plural(1, "request"), plural(1200, "request")
    ('1 request', '1,200 requests')
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
