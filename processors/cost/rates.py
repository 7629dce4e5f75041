"""Prices compiled to integers: what one call costs under one price."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from schemas.calls import Usage
from schemas.deployments import Price

_NANO_PER_USD = 10**9
_TOKENS_PER_PRICE = 10**6


@dataclass(frozen=True, slots=True)
class Rates:
    """What a token costs of each kind, in units of 1 / `scale` nano-dollars.

    None: the price list has no such price. Cached and reasoning tokens without a price of their own cost what plain
    tokens of their side cost; plain tokens without a price make the whole unknown. `request` is charged once a call.
    """

    scale: int
    input: int | None
    output: int | None
    dearest_input: int | None
    dearest_output: int | None
    cache_read: int | None
    cache_write: int | None
    reasoning: int | None
    request: int

    def cost_nanousd(self, usage: Usage) -> int | None:
        """The cost of a call: the exact sum, rounded once, half to even; None when tokens were used that have no price.

        Parts that exceed their whole, which no provider should report, raise the whole to their sum.
        """
        plain_input, plain_output, total = usage.input_tokens, usage.output_tokens, self.request
        if (read := self.cache_read) is not None:
            plain_input -= usage.cache_read_input_tokens
            total += read * usage.cache_read_input_tokens
        if (write := self.cache_write) is not None:
            plain_input -= usage.cache_write_input_tokens
            total += write * usage.cache_write_input_tokens
        if (reasoning := self.reasoning) is not None:
            plain_output -= usage.reasoning_tokens
            total += reasoning * usage.reasoning_tokens
        if plain_input > 0:
            if self.input is None:
                return None
            total += self.input * plain_input
        if plain_output > 0:
            if self.output is None:
                return None
            total += self.output * plain_output
        quotient, rest = divmod(total, self.scale)
        doubled = 2 * rest
        return quotient + (doubled > self.scale or (doubled == self.scale and quotient % 2 == 1))

    def bound_nanousd(self, input_tokens: int, output_tokens: int) -> int | None:
        """The most that so many tokens can cost, every one at the dearest price of its side; rounded up."""
        total = self.request
        if input_tokens > 0:
            if self.dearest_input is None:
                return None
            total += self.dearest_input * input_tokens
        if output_tokens > 0:
            if self.dearest_output is None:
                return None
            total += self.dearest_output * output_tokens
        return -(-total // self.scale)

    @staticmethod
    def of(
        scale: int,
        *,
        input: int | None,  # noqa: A002 - the side's name, as everywhere in this file
        output: int | None,
        cache_read: int | None,
        cache_write: int | None,
        reasoning: int | None,
        request: int,
    ) -> "Rates":
        """Rates with the dearest of each side worked out."""
        return Rates(
            scale=scale,
            input=input,
            output=output,
            dearest_input=None if input is None else max(input, cache_read or 0, cache_write or 0),
            dearest_output=None if output is None else max(output, reasoning or 0),
            cache_read=cache_read,
            cache_write=cache_write,
            reasoning=reasoning,
            request=request,
        )


@dataclass(frozen=True, slots=True)
class TieredRates:
    """Rates by the size of the input: `rows[i]` holds when exactly i of `starts` lie below the call's input tokens.

    Crossing a start moves all tokens of the call to that row, as providers charge it.
    """

    starts: Sequence[int]
    rows: Sequence[Rates]

    def at(self, input_tokens: int) -> Rates:
        return self.rows[bisect_left(self.starts, input_tokens)] if self.starts else self.rows[0]

    def cost_nanousd(self, usage: Usage) -> int | None:
        return self.at(usage.input_tokens).cost_nanousd(usage)

    def bound_nanousd(self, input_tokens: int, output_tokens: int) -> int | None:
        return self.at(input_tokens).bound_nanousd(input_tokens, output_tokens)


def compile_rates(
    *,
    input: Decimal | None,  # noqa: A002 - the side's name, as everywhere in this file
    output: Decimal | None,
    cache_read: Decimal | None = None,
    cache_write: Decimal | None = None,
    reasoning: Decimal | None = None,
    request: Decimal = Decimal(0),
) -> Rates:
    """Rates from prices in US dollars a million tokens (`request`: a call), without loss.

    >>> compile_rates(input=Decimal("0.15"), output=Decimal("0.6")).cost_nanousd(Usage(1000, 10))
    156000
    """
    nano_per_token = [
        None if usd is None else usd * _NANO_PER_USD / _TOKENS_PER_PRICE
        for usd in (input, output, cache_read, cache_write, reasoning)
    ]
    nano_per_call = request * _NANO_PER_USD
    scale = 10 ** max(_decimal_places(rate) for rate in (*nano_per_token, nano_per_call) if rate is not None)
    plain_input, plain_output, read, write, thought = (None if rate is None else int(rate * scale) for rate in nano_per_token)
    return Rates.of(
        scale,
        input=plain_input,
        output=plain_output,
        cache_read=read,
        cache_write=write,
        reasoning=thought,
        request=int(nano_per_call * scale),
    )


def from_price(price: Price) -> TieredRates:
    """The rates of a user's own price."""
    rates = compile_rates(
        input=price.input_usd_per_million,
        output=price.output_usd_per_million,
        cache_read=price.cache_read_usd_per_million,
        cache_write=price.cache_write_usd_per_million,
    )
    return TieredRates((), (rates,))


def _decimal_places(number: Decimal) -> int:
    exponent = number.normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0
