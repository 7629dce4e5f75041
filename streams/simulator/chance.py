"""Chance without randomness: the same numbers in, the same draw out, so that a run with faults can be repeated."""

_MASK = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15


def _mix(value: int) -> int:
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
    return value ^ (value >> 31)


def draw(*numbers: int) -> int:
    """A 64-bit number that depends on all of `numbers` and their order (SplitMix64: Steele, Lea and Flood, 2014).

    >>> draw(1, 2) == draw(1, 2), draw(1, 2) == draw(2, 1)
    (True, False)
    """
    state = _GOLDEN
    for number in numbers:
        state = _mix((state + _GOLDEN) & _MASK ^ (number & _MASK))
    return state


def uniform(*numbers: int) -> float:
    """A number in [0, 1) that depends on all of `numbers` and their order.

    >>> 0.0 <= uniform(7, 1) < 1.0
    True
    """
    return (draw(*numbers) >> 11) * 2.0**-53
