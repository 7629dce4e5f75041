"""One call on both sides: whether they agree, and what the ledger should say."""

from processors.reconcile.lines import Told
from schemas.calls import Charged, Usage


def actual(charged: Charged, told: Told) -> Usage:
    """The usage that the provider bills. A part that it does not tell stays as it is charged, within its whole."""
    read = _part(told.cache_read_input_tokens, charged.cache_read_input_tokens, told.input_tokens)
    return Usage(
        input_tokens=told.input_tokens,
        output_tokens=told.output_tokens,
        cache_read_input_tokens=read,
        cache_write_input_tokens=_part(told.cache_write_input_tokens, charged.cache_write_input_tokens, told.input_tokens - read),
        reasoning_tokens=_part(told.reasoning_tokens, charged.reasoning_tokens, told.output_tokens),
    )


def adjustment(charged: Charged, told: Told) -> Usage | None:
    """The usage to adjust the call to; None when it is charged so already, and not as an estimate."""
    usage = actual(charged, told)
    return usage if charged.estimated or not agrees(charged, usage) else None


def agrees(charged: Charged, usage: Usage) -> bool:
    """Whether every count is the same."""
    return (
        charged.input_tokens == usage.input_tokens
        and charged.output_tokens == usage.output_tokens
        and charged.cache_read_input_tokens == usage.cache_read_input_tokens
        and charged.cache_write_input_tokens == usage.cache_write_input_tokens
        and charged.reasoning_tokens == usage.reasoning_tokens
    )


def is_free(charged: Charged) -> bool:
    """Whether the ledger bills nothing for it: then a provider that does not know the call says the same."""
    return not charged.estimated and agrees(charged, Usage(0, 0))


def _part(told: int | None, charged: int, whole: int) -> int:
    return min(charged if told is None else told, whole)
