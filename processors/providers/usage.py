"""Token counts as providers report them, made into ours: inclusive, possible, and honest about what was missing."""

import math
from typing import Any

from schemas.calls import CallOrdered, Usage, UsageSource

MOST_TOKENS = 20_000_000
"""Beyond any context window that is on offer; a count above cannot be."""


def count(value: Any) -> int | None:
    """A reported count, as it was said; None when it is missing or no number.

    >>> count(0), count(12.0), count("12"), count(True), count(None), count(-1), count(1e20)
    (0, 12, None, None, None, -1, 100000000000000000000)
    """
    if type(value) is int:
        return value
    if type(value) is float and math.isfinite(value):
        return int(value)
    return None


def usage_of(
    order: CallOrdered,
    *,
    input_tokens: int | None,
    output_tokens: int | None,
    cache_read: int | None = None,
    cache_write: int | None = None,
    reasoning: int | None = None,
) -> Usage | None:
    """The usage of a call from inclusive counts; None when the output was not told, so that the ledger estimates.

    Zero stays zero. A count that cannot be (negative, or above any context window) becomes what was expected of the call, and
    the usage says `clamped`; parts are bounded by their whole. Missing input beside known output takes the order's estimate, and
    the usage says ESTIMATED.
    """
    if output_tokens is None:
        return None
    source = UsageSource.REPORTED
    if input_tokens is None:
        input_tokens, source = order.input_tokens_estimate, UsageSource.ESTIMATED
    clamped = False
    if not 0 <= input_tokens <= MOST_TOKENS:
        input_tokens, clamped = order.input_tokens_estimate, True
    if not 0 <= output_tokens <= MOST_TOKENS:
        output_tokens, clamped = order.output_tokens_bound, True
    read = _within(cache_read, input_tokens)
    write = _within(cache_write, input_tokens - read)
    thought = _within(reasoning, output_tokens)
    return Usage(
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        cache_read_input_tokens=read,
        cache_write_input_tokens=write,
        reasoning_tokens=thought,
        source=source,
        clamped=clamped or (read, write, thought) != (cache_read or 0, cache_write or 0, reasoning or 0),
    )


def _within(part: int | None, whole: int) -> int:
    return min(max(part or 0, 0), whole)
