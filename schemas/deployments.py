"""What routing chooses between: a deployment is a provider, a model and an address."""

from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum

from schemas.policies import Routing
from schemas.requests import Operation


class ProviderKind(StrEnum):
    """Which adapter speaks to the provider. Every OpenAI-compatible server is `openai`."""

    OPENAI = "openai"
    ANTHROPIC = "anthropic"
    GOOGLE = "google"
    OLLAMA = "ollama"


@dataclass(frozen=True, slots=True)
class Price:
    """The user's own price, in US dollars a million tokens; it wins over the built-in price list.

    Cache prices left out cost what plain input costs.
    """

    input_usd_per_million: Decimal
    output_usd_per_million: Decimal
    cache_read_usd_per_million: Decimal | None = None
    cache_write_usd_per_million: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Provider:
    """Where a provider is and which environment variables tell its key and address."""

    name: str
    kind: ProviderKind
    address: str
    key_env: str | None = None
    address_env: str | None = None


@dataclass(frozen=True, slots=True)
class Deployment:
    """A model at a provider, with its limits.

    `context_tokens` bounds input and output together; `max_output_tokens` is what one call may return at most;
    `max_concurrency` bounds the calls in flight of one worker process; `timeout_s` bounds one call as a whole.
    `requests_per_minute` and `tokens_per_minute` bound what workers send; None: nothing is bounded.
    `json_mode`: it answers with a JSON object when asked for any (`json_object`); `json_schema`: with one of a given schema.
    `environments`: where it may be called; empty: everywhere. `context_fallbacks` are selectors of deployments to call when
    this one says that the input is too long.
    """

    name: str
    provider: str
    model: str
    operations: frozenset[Operation] = frozenset({Operation.CHAT, Operation.TEXT_COMPLETION, Operation.CLASSIFICATION})
    context_tokens: int = 128_000
    max_output_tokens: int = 4_096
    max_concurrency: int = 64
    timeout_s: float = 60.0
    tools: bool = True
    vision: bool = False
    json_mode: bool = True
    json_schema: bool = True
    price: Price | None = None
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    environments: frozenset[str] = frozenset()
    context_fallbacks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TenantSettings:
    """`lanes`: how many lanes the tenant's requests spread over; 1 keeps them in one order, which hard budgets need.

    `semantic_error_bound`: the share of its questions that answers to similar ones may get wrong; None: only the same ones share.
    """

    lanes: int = 1
    semantic_error_bound: float | None = None


@dataclass(frozen=True, slots=True)
class CacheTtl:
    """How long answers are kept, in seconds. `default_s` None: as the settings say."""

    default_s: int | None = None
    by_model: dict[str, int] = field(default_factory=dict)
    by_task_kind: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DeploymentCatalogue:
    """What the operator's YAML says: providers and deployments, tenants' settings, how to route and to cache, and its version."""

    version: str
    providers: dict[str, Provider]
    deployments: tuple[Deployment, ...]
    tenants: dict[str, TenantSettings]
    routing: Routing = field(default_factory=Routing)
    cache: CacheTtl = field(default_factory=CacheTtl)

    def deployment(self, name: str) -> Deployment | None:
        return next((d for d in self.deployments if d.name == name), None)

    def of_provider(self, provider: str) -> tuple[Deployment, ...]:
        return tuple(d for d in self.deployments if d.provider == provider)
