"""Exact sizes that a request may ask for, so that a recorded trace can be replayed with its own token counts.

Three ways, the first that is there counts: the headers `x-sim-input-tokens`, `x-sim-output-tokens`, `x-sim-cache-read-tokens`,
`x-sim-cache-write-tokens`; the same names with underscores and no `x-` in the body's `metadata`; or the marker
`[[sim in=4808 out=10 cache_read=0 cache_write=0 fault=http_503]]` at the start of the last user message.
`in` counts all input, cached tokens included. Sizes asked for are billed as they are: `max_tokens` does not cap them.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from streams.simulator.tokens import Usage

MAX_TOKENS = 10_000_000
_MARKER = re.compile(r"\s{0,8}\[\[sim((?:\s+[a-z_]+=[^\s\]]{1,64}){1,8})\s*\]\]")
_NAMES = {"in": "input", "out": "output", "cache_read": "cache_read", "cache_write": "cache_write"}


class BadSizes(ValueError):
    """The request asks for sizes that cannot be."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """What the request asks for; None where it leaves the size to the simulator."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    fault: str | None = None

    def usage(self, *, counted_input: int, output_tokens: int) -> Usage:
        """The bill: what was asked for, else what was counted."""
        cached = self.cache_read_tokens + self.cache_write_tokens
        total = counted_input if self.input_tokens is None else self.input_tokens
        output = output_tokens if self.output_tokens is None else self.output_tokens
        return Usage(max(total, cached), output, self.cache_read_tokens, self.cache_write_tokens)


NATURAL = Sizes()


def _number(name: str, text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text[:12]) > MAX_TOKENS or len(text) > 12:
        raise BadSizes(f"{name} must be a whole number from 0 to {MAX_TOKENS}, not {text[:20]!r}")
    return int(text)


def _built(found: Mapping[str, str], fault: str | None = None) -> Sizes:
    numbers = {f"{name}_tokens": _number(name, text) for name, text in found.items()}
    sizes = Sizes(
        numbers.get("input_tokens"),
        numbers.get("output_tokens"),
        numbers.get("cache_read_tokens", 0),
        numbers.get("cache_write_tokens", 0),
        fault,
    )
    cached = sizes.cache_read_tokens + sizes.cache_write_tokens
    if sizes.input_tokens is not None and cached > sizes.input_tokens:
        raise BadSizes(f"{cached} cached tokens are more than the {sizes.input_tokens} input tokens they are part of")
    return sizes


def of_marker(text: str) -> Sizes | None:
    """The sizes that a text's marker asks for, None without one. Raises BadSizes.

    >>> of_marker("[[sim in=4808 out=10]]").output_tokens
    10
    """
    if "[[sim" not in text[:16] or not (match := _MARKER.match(text)):
        return None
    pairs = dict(pair.split("=", 1) for pair in match[1].split())
    fault = pairs.pop("fault", None)
    if unknown := sorted(pairs.keys() - _NAMES.keys()):
        raise BadSizes(f"the marker knows in, out, cache_read, cache_write and fault, not {', '.join(unknown)}")
    return _built({_NAMES[name]: text for name, text in pairs.items()}, fault)


def asked(headers: Mapping[str, str], metadata: object, text: str) -> Sizes:
    """The sizes that a request asks for; `text` is its last user message. Raises BadSizes."""
    names = _NAMES.values()
    found = {n: v for n in names if (v := headers.get(f"x-sim-{n.replace('_', '-')}-tokens")) is not None}
    if not found and isinstance(metadata, Mapping):
        found = {n: str(metadata[f"sim_{n}_tokens"]) for n in names if f"sim_{n}_tokens" in metadata}
    if found:
        return _built(found)
    return of_marker(text) or NATURAL
