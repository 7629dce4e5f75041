"""What the log says, one small value a statement, under the key of what it is about. Times are Unix microseconds, UTC."""

from typing import NamedTuple


class About(NamedTuple):
    """What facts are about: a request (tenant, id), a call (id), a total (its key), a position (topic-partition-offset)."""

    kind: str
    name: str


REQUEST, CALL, TOTAL, POSITION = "request", "call", "total", "position"


def request(tenant: str, request_id: str) -> About:
    """The identity of a request; the tenant's length keeps two pairs from reading alike.

    >>> request("acme", "r1").name
    '4:acme/r1'
    """
    return About(REQUEST, f"{len(tenant)}:{tenant}/{request_id}")


def position(topic: str, partition: int, offset: int) -> About:
    return About(POSITION, f"{topic}-{partition}-{offset}")


class Requested(NamedTuple):
    """A record of ai.requests that names a request, whether all of it is readable or not."""

    partition: int
    offset: int
    sent_us: int
    deadline_us: int


class Acknowledged(NamedTuple):
    """A line of the publisher's log: the broker has acknowledged the request."""

    line: int


class Final(NamedTuple):
    """A final response. `call_id` is the call that answered."""

    partition: int
    offset: int
    answered_us: int
    cache_hit: bool
    call_id: str | None


class Hit(NamedTuple):
    """A cost event of a cache hit."""

    partition: int
    offset: int


class Tried(NamedTuple):
    """A call of the request was started."""

    call_id: str
    attempt: int


class Unsent(NamedTuple):
    """The call was reported as one that reached no provider."""

    call_id: str


class Started(NamedTuple):
    partition: int
    offset: int
    request: str
    attempt: int
    lost_us: int


class Ended(NamedTuple):
    """The call was reported, as COMPLETED or FAILED."""

    partition: int
    offset: int
    completed: bool
    reported_us: int


class Charged(NamedTuple):
    """The cost event of a call. Tokens are -1 where the event has no usage."""

    partition: int
    offset: int
    request: str
    attempt: int
    estimated: bool
    wasted: bool
    pricing: str
    cost_nanousd: int | None
    input_tokens: int
    output_tokens: int


class Answered(NamedTuple):
    """A successful final response names the call."""

    partition: int
    offset: int


class Arrived(NamedTuple):
    """The provider's own log has the call. `truthful` is False where it is known to have told other tokens than it bills."""

    provider: str
    arrived_us: int
    input_tokens: int
    output_tokens: int
    truthful: bool


class Adjusted(NamedTuple):
    """An adjustment of the ledger, under its own event id."""

    partition: int
    offset: int


class Amounts(NamedTuple):
    """What a total sums up, in the names of CostTotal."""

    calls: int = 0
    cost_nanousd: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_input_tokens: int = 0
    cache_write_input_tokens: int = 0
    estimated_calls: int = 0
    wasted_calls: int = 0
    unpriced_calls: int = 0
    cache_hits: int = 0
    avoided_nanousd: int = 0


class Spent(NamedTuple):
    """What cost events add to their total; the place is that of the last of them."""

    partition: int
    offset: int
    amounts: Amounts
    events: int = 1


class Stated(NamedTuple):
    """A record of ai.cost-totals. The last one of a key counts."""

    partition: int
    offset: int
    amounts: Amounts


class Unreadable(NamedTuple):
    """A record that cannot be decoded, at the position that the fact is about. `digest` is of its first 256 KiB."""

    seen_us: int
    size: int
    digest: str


class DeadLettered(NamedTuple):
    """A dead letter about the position. `undecodable`: it says that the record cannot be decoded."""

    partition: int
    offset: int
    size: int
    digest: str
    undecodable: bool


Fact = (
    Requested
    | Acknowledged
    | Final
    | Hit
    | Tried
    | Unsent
    | Started
    | Ended
    | Charged
    | Answered
    | Arrived
    | Adjusted
    | Spent
    | Stated
    | Unreadable
    | DeadLettered
)

TYPES: tuple[type[Fact], ...] = (
    Requested,
    Acknowledged,
    Final,
    Hit,
    Tried,
    Unsent,
    Started,
    Ended,
    Charged,
    Answered,
    Arrived,
    Adjusted,
    Spent,
    Stated,
    Unreadable,
    DeadLettered,
)
