"""What all actors share: the broker, the time, the providers' book, and what is noted for the oracle and the reader."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any

from processors.cost.prices import PriceBook
from schemas.deployments import Price
from schemas.outcomes import InferenceResponse
from schemas.routing import Candidate, CandidateUse
from schemas.serde import Serde
from streams import topics
from streams.placement import lane_partition
from tests.simulation.broker import Broker
from tests.simulation.plain import PlainSerde
from tests.simulation.schedule import Plan, Schedule

T0 = datetime(2026, 1, 31, 11, 58, tzinfo=UTC)
"""Two minutes before the hour, so that totals of two hours come about."""
SECOND = 1_000_000

CANDIDATES = (
    Candidate("openai/a", "openai", "a", timeout_ms=20_000, output_tokens_bound=100, context_tokens=8_000),
    Candidate("openai/b", "openai", "b", timeout_ms=45_000, output_tokens_bound=60, context_tokens=4_000),
    Candidate("anthropic/c", "anthropic", "c", timeout_ms=20_000, output_tokens_bound=80),
    Candidate("anthropic/d", "anthropic", "d", 20_000, output_tokens_bound=90, context_tokens=200_000, use=CandidateUse.CONTEXT),
    Candidate("openai/e", "openai", "e", 20_000, output_tokens_bound=70, context_tokens=2_000, use=CandidateUse.FALLBACK),
)
PROVIDERS = ("openai", "anthropic")
NANO_PER_TOKEN = {"a": (2_000, 8_000), "b": (1_000, 3_000), "c": None, "d": (3_000, 9_000), "e": (500, 2_000)}
"""What one token costs of input and of output; model c has no known price."""
PRICES = PriceBook(
    {
        "openai/a": Price(Decimal(2), Decimal(8)),
        "openai/b": Price(Decimal(1), Decimal(3)),
        "anthropic/d": Price(Decimal(3), Decimal(9)),
        "openai/e": Price(Decimal("0.5"), Decimal(2)),
    }
)
_AVRO = Serde()


@lru_cache(maxsize=65_536)
def at(microseconds: int) -> datetime:
    return T0 + timedelta(microseconds=microseconds)


@dataclass(slots=True)
class Billed:
    """One call as the provider has it in its book: the truth about what it cost."""

    call_id: str
    key: tuple[str, str]
    attempt: int
    input_tokens: int
    output_tokens: int


class World:
    """One run's world. `say` notes a line of its history, when anybody wants to read it."""

    def __init__(self, schedule: Schedule, *, telling: bool = False, recording: bool = False) -> None:
        self.schedule = schedule
        self.broker = Broker()
        self.serde: Any = _AVRO if schedule.avro else PlainSerde()
        self.partitions = schedule.partitions
        self.now = 0
        self.faulty = True
        """Whether the faults still last."""
        self.out: set[str] = set()
        """Providers that are down."""
        self.book: dict[str, Billed] = {}
        self.sent: Counter[tuple[str, str]] = Counter()
        """Calls that reached a provider, by request."""
        self.repeated: Counter[tuple[str, str]] = Counter()
        """How often an order of a request was taken again after its first time."""
        self.published: Counter[tuple[tuple[str, str], int]] = Counter()
        """Requests that the broker acknowledged to their sender, by request and body."""
        self.deadlines: dict[tuple[str, str], int] = {}
        """When a request must be answered, by the first record that intake wrote of it."""
        self.cancelled: list[tuple[str, str]] = []
        """Requests that their senders no longer want, in the log of that."""
        self.outside: dict[tuple[int, str], int] = {}
        """What a planted bug keeps outside of the transactions."""
        self.count: Counter[str] = Counter()
        self.problems: list[str] = []
        self.history: list[str] = []
        self.telling = telling
        self.recorded: list[Any] | None = [] if recording else None
        """The lives of all lanes, when they are to be replayed."""
        self._ids = 0
        self._answered: set[tuple[str, str]] = set()
        self._looked_at = 0

    def say(self, line: Callable[[], str]) -> None:
        if self.telling:
            self.history.append(f"t={self.now / SECOND:>8.3f}  {line()}")

    def problem(self, text: str) -> None:
        self.problems.append(text)
        self.say(lambda: f"!! {text}")

    def answered(self) -> set[tuple[str, str]]:
        """Requests with a final response that a read_committed reader can see."""
        transactions = self.broker.transactions
        for transaction in transactions[self._looked_at :]:
            for record in transaction.records:
                if record.topic == topics.RESPONSES:
                    response = self.serde.of(InferenceResponse).decode(record.value)
                    if response.final:
                        self._answered.add((response.tenant, response.request_id))
        self._looked_at = len(transactions)
        return self._answered

    def next_call_id(self) -> str:
        self._ids += 1
        return f"c{self._ids}"

    def partition_of(self, lane: str) -> int:
        return lane_partition(lane, self.partitions)

    def tell_dispatcher(self, now: int) -> datetime:
        """A dispatcher's clock is read."""
        self.broker.seen = max(self.broker.seen, now)
        return at(now)

    def report(self, record: Any) -> None:
        """Write a report of a call to its lane's partition."""
        partition = self.partition_of(record.lane)
        self.broker.append(topics.ATTEMPTS, partition, record.lane, self.serde.of(type(record)).encode(record))


def key_of(plan: Plan) -> tuple[str, str]:
    return (plan.tenant, plan.request_id)
