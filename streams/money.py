"""Money and sizes for eyes. Amounts are integers of 1e-9 US dollars, and stay integers: no float rounds them."""

_NANOUSD = 1_000_000_000


def dollars(nanousd: int) -> str:
    """The exact amount, to the cent at least and to the nano-dollar where it has one.

    >>> dollars(54_399_000)
    '$0.054399'
    >>> dollars(1_234_500_000_000)
    '$1,234.50'
    >>> dollars(-1)
    '-$0.000000001'
    """
    whole, fraction = divmod(abs(nanousd), _NANOUSD)
    digits = f"{fraction:09d}".rstrip("0").ljust(2, "0")
    return f"{'-' if nanousd < 0 else ''}${whole:,}.{digits}"


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
