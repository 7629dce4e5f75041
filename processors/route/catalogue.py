"""The operator's catalogue of deployments: parsed and checked.

providers:    name -> {kind, address, key_env, address_env}
deployments:  a list of {name, provider, model, limits, abilities, price}; `name` defaults to `provider/model`
tenants:      name -> {lanes, semantic_cache: {error_bound}}
cache:        {ttl_s, by_model, by_task_kind}: how long answers are kept, in seconds
routing:      policies, and which requests get which: see routing_file
version:      stands on the cost events that its prices make; left out: a digest of the content without `cache` and `routing`
"""

import hashlib
from decimal import Decimal
from typing import Annotated, Any

import orjson
from pydantic import Field, StringConstraints

from processors.classify.kinds import TaskKind
from processors.classify.validate import MAX_CACHE_TTL_S
from processors.route import routing_file
from processors.route.routing_file import RoutingFile
from processors.route.strict import Strict, validated
from schemas.deployments import CacheTtl, Deployment, DeploymentCatalogue, Price, Provider, ProviderKind, TenantSettings
from schemas.errors import SettingsError
from schemas.requests import Operation

AUTO = "auto"
"""The model that a request names when it leaves the choice to routing."""

_Variable = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,127}$")]
_ProviderName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
_Name = Annotated[str, StringConstraints(pattern=r"^[!-~]{1,200}$")]
_Address = Annotated[str, StringConstraints(pattern=r"^https?://[^\s/]+[^\s]*$")]
_EnvironmentName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
_Usd = Annotated[Decimal, Field(ge=0, max_digits=18, decimal_places=9)]
_NO_PRICES = frozenset({"cache", "routing"})
"""Sections of which no price depends."""
_OPERATIONS = frozenset(Operation) - {Operation.UNKNOWN}
_DEFAULT_OPERATIONS = frozenset({Operation.CHAT, Operation.TEXT_COMPLETION, Operation.CLASSIFICATION})


class _Provider(Strict):
    kind: ProviderKind
    address: _Address
    key_env: _Variable | None = None
    address_env: _Variable | None = None


class _Price(Strict):
    input_usd_per_million: _Usd
    output_usd_per_million: _Usd
    cache_read_usd_per_million: _Usd | None = None
    cache_write_usd_per_million: _Usd | None = None


class _Deployment(Strict):
    name: _Name | None = None
    provider: str
    model: _Name
    operations: frozenset[Operation] = Field(_DEFAULT_OPERATIONS, min_length=1)
    context_tokens: int = Field(128_000, ge=1)
    max_output_tokens: int = Field(4_096, ge=1)
    max_concurrency: int = Field(64, ge=1, le=100_000)
    timeout_s: float = Field(60.0, gt=0, le=86_400)
    tools: bool = True
    vision: bool = False
    json_mode: bool | None = None
    json_schema: bool | None = None
    price: _Price | None = None
    requests_per_minute: int | None = Field(None, ge=1)
    tokens_per_minute: int | None = Field(None, ge=1)
    environment: frozenset[_EnvironmentName] = frozenset()
    context_fallbacks: tuple[_Name, ...] = ()


class _SemanticCache(Strict):
    error_bound: float = Field(gt=0, le=0.2)


class _Tenant(Strict):
    lanes: int = Field(1, ge=1, le=1_024)
    semantic_cache: _SemanticCache | None = None


_Ttl = Annotated[int, Field(ge=1, le=MAX_CACHE_TTL_S)]


class _Cache(Strict):
    ttl_s: _Ttl | None = None
    by_model: dict[str, _Ttl] = Field(default_factory=dict)
    by_task_kind: dict[TaskKind, _Ttl] = Field(default_factory=dict)


class _Catalogue(Strict):
    version: str | int | float | None = None
    providers: dict[_ProviderName, _Provider] = Field(min_length=1)
    deployments: list[_Deployment] = Field(min_length=1)
    tenants: dict[str, _Tenant] = Field(default_factory=dict)
    cache: _Cache = Field(default_factory=_Cache)
    routing: RoutingFile = Field(default_factory=RoutingFile)


class _ModelPrice(_Price):
    provider: str
    model: str


class _Prices(Strict):
    version: str | int | float | None = None
    prices: list[_ModelPrice]


def parse(content: Any, *, source: str) -> DeploymentCatalogue:
    """The catalogue of a YAML file's content. Raises SettingsError, which names `source`, the keys, and what to do."""
    given = validated(_Catalogue, content, source)
    deployments = tuple(_deployment(d, given.providers.get(d.provider)) for d in given.deployments)
    _check(deployments, given, source)
    return DeploymentCatalogue(
        version=_version(given.version, {key: value for key, value in content.items() if key not in _NO_PRICES}),
        providers={
            name: Provider(name, p.kind, p.address.rstrip("/"), p.key_env, p.address_env) for name, p in given.providers.items()
        },
        deployments=deployments,
        tenants={
            name: TenantSettings(t.lanes, t.semantic_cache.error_bound if t.semantic_cache else None)
            for name, t in given.tenants.items()
        },
        cache=CacheTtl(
            given.cache.ttl_s,
            dict(given.cache.by_model),
            {kind.value: seconds for kind, seconds in given.cache.by_task_kind.items()},
        ),
        routing=routing_file.resolve(given.routing, source=source),
    )


def parse_prices(content: Any, *, source: str) -> tuple[dict[tuple[str, str], Price], str]:
    """Prices by (provider, model), and the version that cost events carry. Raises SettingsError."""
    given = validated(_Prices, content, source)
    prices: dict[tuple[str, str], Price] = {}
    for i, entry in enumerate(given.prices):
        if (entry.provider, entry.model) in prices:
            raise SettingsError(f"{source}: prices[{i}] prices {entry.model} of {entry.provider} again; keep one of the two")
        prices[entry.provider, entry.model] = _price(entry)
    return prices, f"prices {_version(given.version, content)}"


def _check(deployments: tuple[Deployment, ...], given: _Catalogue, source: str) -> None:
    seen: set[str] = set()
    for i, deployment in enumerate(deployments):
        where = f"{source}: deployments[{i}] ({deployment.name})"
        if deployment.provider not in given.providers:
            known = ", ".join(sorted(given.providers))
            raise SettingsError(f"{where} names the provider {deployment.provider!r}; `providers` has {known}")
        if deployment.name in seen:
            raise SettingsError(f"{where} stands twice; give one of the two a `name` of its own")
        if deployment.name == AUTO:
            raise SettingsError(f"{where} is called {AUTO!r}, which requests use to leave the choice to routing; rename it")
        if not deployment.operations <= _OPERATIONS:
            raise SettingsError(f"{where}.operations: choose of {', '.join(sorted(_OPERATIONS))}")
        seen.add(deployment.name)


def _deployment(given: _Deployment, provider: _Provider | None) -> Deployment:
    """What `json_mode` leaves out is what the provider's API has: Anthropic's takes a schema, and has no mode without one."""
    has_json_mode = provider is None or provider.kind is not ProviderKind.ANTHROPIC
    return Deployment(
        name=given.name or f"{given.provider}/{given.model}",
        provider=given.provider,
        model=given.model,
        operations=given.operations,
        context_tokens=given.context_tokens,
        max_output_tokens=given.max_output_tokens,
        max_concurrency=given.max_concurrency,
        timeout_s=given.timeout_s,
        tools=given.tools,
        vision=given.vision,
        json_mode=has_json_mode if given.json_mode is None else given.json_mode,
        json_schema=given.json_mode is not False if given.json_schema is None else given.json_schema,
        price=None if given.price is None else _price(given.price),
        requests_per_minute=given.requests_per_minute,
        tokens_per_minute=given.tokens_per_minute,
        environments=given.environment,
        context_fallbacks=given.context_fallbacks,
    )


def _price(given: _Price) -> Price:
    return Price(
        given.input_usd_per_million,
        given.output_usd_per_million,
        given.cache_read_usd_per_million,
        given.cache_write_usd_per_million,
    )


def _version(given: str | float | None, content: Any) -> str:
    if given is not None:
        return str(given)
    canonical = orjson.dumps(content, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS)
    return hashlib.sha256(canonical).hexdigest()[:12]
