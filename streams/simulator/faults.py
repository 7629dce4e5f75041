"""The faults by name, and when each strikes.

A fault is written `NAME` or `NAME:ARGUMENT`:

http_NNN[:RETRY_AFTER]   an error reply of that status; 429 says `Retry-After: 1` unless told otherwise. RETRY_AFTER is sent
                         as it is (`7`, `-1`, `1000000000`), but `date+30` becomes the HTTP date 30 s from now.
context_too_long         the error with which the provider refuses a prompt that does not fit
hang                     the request is read and never answered; the model has worked, so it is billed
slow_body[:BYTES_PER_S]  the body drips, 1 byte a second unless told otherwise (slow-loris)
truncated_stream         the body ends in the middle of an event, in good HTTP order
missing_done             a stream lacks its last event
error_event              a stream breaks off with an error event
duplicate_events         every event with content comes twice
reordered_events         neighbouring events with content change places
late_content             the last event with content changes places with the one that follows it
split_utf8               the body arrives in pieces that end inside a character
crlf                     lines end with CR LF
malformed_json           JSON that lacks its last brace
html_200                 a proxy's HTML page, status 200, not billed
missing_usage            no usage in the reply
zero_usage               usage of 0
negative_usage           usage of -1
absurd_usage             usage of 10**12
reset_before_reply       the request is read, the connection reset; not billed
reset_mid_body           the connection is reset after half of the body
eof_mid_body             the connection is closed in good order after half of the body
refused                  the provider's own port is not listened on (only with `from_s` and `to_s`)
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any

from pydantic import BeforeValidator, ConfigDict, Field, PlainSerializer

from schemas.errors import SettingsError
from streams.simulator.chance import uniform

_HTTP = re.compile(r"http_([45]\d\d)\Z")
_RETRY_AFTER = re.compile(r"[\x21-\x7e][\x20-\x7e]{0,63}\Z")


class FaultKind(StrEnum):
    HTTP = "http"
    CONTEXT_TOO_LONG = "context_too_long"
    HANG = "hang"
    SLOW_BODY = "slow_body"
    TRUNCATED_STREAM = "truncated_stream"
    MISSING_DONE = "missing_done"
    ERROR_EVENT = "error_event"
    DUPLICATE_EVENTS = "duplicate_events"
    REORDERED_EVENTS = "reordered_events"
    LATE_CONTENT = "late_content"
    SPLIT_UTF8 = "split_utf8"
    CRLF = "crlf"
    MALFORMED_JSON = "malformed_json"
    HTML_200 = "html_200"
    MISSING_USAGE = "missing_usage"
    ZERO_USAGE = "zero_usage"
    NEGATIVE_USAGE = "negative_usage"
    ABSURD_USAGE = "absurd_usage"
    RESET_BEFORE_REPLY = "reset_before_reply"
    RESET_MID_BODY = "reset_mid_body"
    EOF_MID_BODY = "eof_mid_body"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Fault:
    kind: FaultKind
    status: int = 0
    retry_after: str | None = None
    bytes_per_s: float = 1.0

    def __str__(self) -> str:
        """The fault as it is written.

        >>> str(parse("http_429:date+30")), str(parse("slow_body:20"))
        ('http_429:date+30', 'slow_body:20')
        """
        if self.kind is FaultKind.HTTP:
            return f"http_{self.status}" + (f":{self.retry_after}" if self.retry_after else "")
        return f"slow_body:{self.bytes_per_s:g}" if self.kind is FaultKind.SLOW_BODY else self.kind.value


_NAMES = frozenset(kind.value for kind in FaultKind if kind is not FaultKind.HTTP)


def parse(text: str) -> Fault:
    """The fault that is written so. Raises SettingsError when none is.

    >>> parse("http_429:-1")
    Fault(kind=<FaultKind.HTTP: 'http'>, status=429, retry_after='-1', bytes_per_s=1.0)
    """
    name, colon, argument = text.strip().partition(":")
    if http := _HTTP.match(name):
        if colon and not _RETRY_AFTER.match(argument):
            raise SettingsError(f"fault {text!r}: after the colon comes a Retry-After of 1 to 64 printable characters")
        status = int(http[1])
        return Fault(FaultKind.HTTP, status=status, retry_after=argument or ("1" if status == 429 else None))
    if name not in _NAMES:
        raise SettingsError(f"there is no fault {text!r}; there are http_NNN, {', '.join(sorted(_NAMES))}")
    kind = FaultKind(name)
    if not colon:
        return Fault(kind)
    if kind is not FaultKind.SLOW_BODY:
        raise SettingsError(f"fault {name!r} takes no argument; write it without {colon + argument!r}")
    try:
        bytes_per_s = float(argument)
    except ValueError:
        bytes_per_s = 0.0
    if not 0 < bytes_per_s < 1e9:
        raise SettingsError(f"fault {text!r}: after the colon come the bytes a second, over 0 and below 1e9")
    return Fault(kind, bytes_per_s=bytes_per_s)


def _as_fault(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return parse(value)
    except SettingsError as error:  # pydantic collects only ValueErrors
        raise ValueError(str(error)) from error


@dataclass(frozen=True, slots=True)
class FaultRule:
    """A fault and when it strikes: always, or when all the given conditions hold.

    `rate`: this share of the calls. `every`: each nth call. `first`: the first n calls. `from_s`, `to_s`: that time of arrival.
    Calls and seconds count from when the profile was set, calls from 1.
    """

    __pydantic_config__ = ConfigDict(extra="forbid", allow_inf_nan=False)

    fault: Annotated[Fault, BeforeValidator(_as_fault), PlainSerializer(str)]
    rate: Annotated[float, Field(ge=0, le=1)] | None = None
    every: Annotated[int, Field(ge=1)] | None = None
    first: Annotated[int, Field(ge=0)] | None = None
    from_s: Annotated[float, Field(ge=0)] | None = None
    to_s: Annotated[float, Field(ge=0)] | None = None

    def strikes(self, *, call: int, at_s: float, luck: float) -> bool:
        """`luck` is in [0, 1).

        >>> rule = FaultRule(parse("hang"), every=3, from_s=1)
        >>> [rule.strikes(call=n, at_s=2, luck=0) for n in (2, 3)], rule.strikes(call=3, at_s=0.5, luck=0)
        ([False, True], False)
        """
        return (
            (self.rate is None or luck < self.rate)
            and (self.every is None or call % self.every == 0)
            and (self.first is None or call <= self.first)
            and (self.from_s is None or at_s >= self.from_s)
            and (self.to_s is None or at_s < self.to_s)
        )


def outage(rules: Sequence[FaultRule], *, at_s: float) -> Fault | None:
    """The error that every request meets at this time, be it a call or not; None when only some calls are struck, or none.

    >>> rules = (FaultRule(parse("http_500"), rate=0.5), FaultRule(parse("http_503"), from_s=10))
    >>> outage(rules, at_s=9), str(outage(rules, at_s=10))
    (None, 'http_503')
    """
    for rule in rules:
        some = (rule.rate, rule.every, rule.first) != (None, None, None)
        if not some and rule.fault.kind is FaultKind.HTTP and rule.strikes(call=0, at_s=at_s, luck=0.0):
            return rule.fault
    return None


def choose(rules: Sequence[FaultRule], *, seed: int, call: int, at_s: float) -> Fault | None:
    """The fault of the first rule that strikes this call; a refused port is none, as nothing arrives through it."""
    for i, rule in enumerate(rules):
        if rule.fault.kind is FaultKind.REFUSED:
            continue
        if rule.strikes(call=call, at_s=at_s, luck=uniform(seed, call, i) if rule.rate is not None else 0.0):
            return rule.fault
    return None
