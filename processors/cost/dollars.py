"""Money for eyes. Amounts are integers of 1e-9 US dollars, and stay integers: no float rounds them."""

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
