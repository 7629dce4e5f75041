"""Where reading begins: the forms of `--from`."""

from dataclasses import dataclass
from datetime import UTC, datetime

from schemas.errors import SettingsError


@dataclass(frozen=True, slots=True)
class Beginning:
    """The oldest record that the topic still has."""


@dataclass(frozen=True, slots=True)
class End:
    """Only what comes from now on."""


@dataclass(frozen=True, slots=True)
class At:
    """The first record at or after a time, by the broker's timestamps."""

    time: datetime


@dataclass(frozen=True, slots=True)
class Last:
    """The last records of all partitions together, in the order of time."""

    count: int


Start = Beginning | End | At | Last


def parse_start(text: str) -> Start:
    """Raises SettingsError for what is none of the forms.

    >>> parse_start("-20")
    Last(count=20)
    >>> parse_start("2026-01-31T15:00Z").time.isoformat()
    '2026-01-31T15:00:00+00:00'
    """
    if text == "beginning":
        return Beginning()
    if text == "end":
        return End()
    if text.startswith("-") and text[1:].isdecimal() and int(text[1:]) > 0:
        return Last(int(text[1:]))
    return At(parse_time(text, "--from takes `beginning`, `end`, a time such as 2026-01-31T15:00Z, or -<n>"))


def parse_time(text: str, advice: str) -> datetime:
    """An ISO 8601 time; without an offset it is UTC. Raises SettingsError with the advice.

    >>> parse_time("2026-01-31", "").hour
    0
    """
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise SettingsError(f"{text!r} is no time: {advice}") from None
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time
