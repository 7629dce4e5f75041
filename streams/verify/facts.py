"""What the log says, one small value a statement, under the key of what it is about. Times are Unix microseconds, UTC."""

from typing import NamedTuple, get_args


class About(NamedTuple):
    """What facts are about, and its name.

    A request (tenant, id), a call (id), a total (its key), a position (topic-partition-offset), all calls under one request id
    whoever the tenant (that is how the provider knows them), the way of a reader through a partition, the records of one key.
    """

    kind: str
    name: str


REQUEST, CALL, TOTAL, POSITION = "request", "call", "total", "position"
TRIES, PROGRESS, KEYED = "tries", "progress", "keyed"


def request(tenant: str, request_id: str) -> About:
    """The identity of a request; the tenant's length keeps two pairs from reading alike.

    >>> request("acme", "r1").name
    '4:acme/r1'
    """
    return About(REQUEST, f"{len(tenant)}:{tenant}/{request_id}")


def position(topic: str, partition: int, offset: int) -> About:
    return About(POSITION, f"{topic}-{partition}-{offset}")


def progress(reader: str, topic: str, partition: int) -> About:
    return About(PROGRESS, f"{reader} on {topic}-{partition}")


def keyed(topic: str, key: str) -> About:
    return About(KEYED, f"{topic}/{key}")


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


class Failed(NamedTuple):
    """The call was reported as failed. `unsent`: it reached no provider."""

    call_id: str
    attempt: int
    unsent: bool


class Routed(NamedTuple):
    """A record of ai.requests.routed. `received_us` is the time of the record of ai.requests that it was made of."""

    partition: int
    offset: int
    received_us: int


class Ordered(NamedTuple):
    """An order to call a provider."""

    topic: str
    partition: int
    offset: int
    attempt: int


class Sent(NamedTuple):
    """A call of the request `owner` was started."""

    owner: str
    call_id: str
    attempt: int


class Seen(NamedTuple):
    """The provider's own log has the call."""

    call_id: str
    provider: str


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
    """An adjustment of the call's charge: what it changes by. `sequence` is 0 where the event id does not say the number."""

    partition: int
    offset: int
    sequence: int
    request: str
    attempt: int
    input_tokens: int
    output_tokens: int
    cost_nanousd: int | None
    replaces_estimate: bool


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
    reason: str
    key: str | None


class Injected(NamedTuple):
    """A line of the list of bad records that were put in on purpose. `reason` is that of the dead letter; None: any."""

    line: int
    reason: str | None


class Letter(NamedTuple):
    """A dead letter about a record with the key; `partition` and `offset` are where that record stands."""

    partition: int
    offset: int
    reason: str
    letter_offset: int


class Moved(NamedTuple):
    """A reader says how far it has come: `to` is the next offset it will read. Several are merged into the last of them.

    `partition` and `offset` are where it says so. `fresh`: what was said before does not count. `first` is the first word of
    those merged, -1 of one alone. `back_from` and `back_to` are the first step back, at `back_offset`; -1 without one.
    `generation` is that of the reader's group, -1 where there is none.
    """

    partition: int
    offset: int
    to: int
    generation: int = -1
    fresh: bool = False
    first: int = -1
    back_from: int = -1
    back_to: int = -1
    back_offset: int = -1
    back_generation: int = -1


Fact = (
    Requested
    | Acknowledged
    | Final
    | Hit
    | Tried
    | Failed
    | Routed
    | Ordered
    | Sent
    | Seen
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
    | Injected
    | Letter
    | Moved
)

TYPES: tuple[type[Fact], ...] = get_args(Fact)
