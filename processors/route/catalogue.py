"""The operator's catalogue of deployments: parsed and checked.

providers:    name -> {kind, address, key_env, address_env}
deployments:  a list of {name, provider, model, limits, abilities, price}; `name` defaults to `provider/model`
tenants:      name -> {lanes}
version:      stands on the cost events that its prices make; left out: a digest of the content
"""

import hashlib
import re
from decimal import Decimal
from typing import Annotated, Any, TypeVar

import orjson
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from schemas.deployments import Deployment, DeploymentCatalogue, Price, Provider, ProviderKind, TenantSettings
from schemas.errors import SettingsError
from schemas.requests import Operation

AUTO = "auto"
"""The model that a request names when it leaves the choice to routing."""

_Variable = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,127}$")]
_ProviderName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
_Name = Annotated[str, StringConstraints(pattern=r"^[!-~]{1,200}$")]
_Address = Annotated[str, StringConstraints(pattern=r"^https?://[^\s/]+[^\s]*$")]
_Usd = Annotated[Decimal, Field(ge=0, max_digits=18, decimal_places=9)]
_OPERATIONS = frozenset(Operation) - {Operation.UNKNOWN}
_DEFAULT_OPERATIONS = frozenset({Operation.CHAT, Operation.TEXT_COMPLETION, Operation.CLASSIFICATION})


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


M = TypeVar("M", bound=_Strict)


class _Provider(_Strict):
    kind: ProviderKind
    address: _Address
    key_env: _Variable | None = None
    address_env: _Variable | None = None


class _Price(_Strict):
    input_usd_per_million: _Usd
    output_usd_per_million: _Usd
    cache_read_usd_per_million: _Usd | None = None
    cache_write_usd_per_million: _Usd | None = None


class _Deployment(_Strict):
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
    json_mode: bool = True
    price: _Price | None = None


class _Tenant(_Strict):
    lanes: int = Field(1, ge=1, le=1_024)


class _Catalogue(_Strict):
    version: str | int | float | None = None
    providers: dict[_ProviderName, _Provider] = Field(min_length=1)
    deployments: list[_Deployment] = Field(min_length=1)
    tenants: dict[str, _Tenant] = Field(default_factory=dict)


class _ModelPrice(_Price):
    provider: str
    model: str


class _Prices(_Strict):
    version: str | int | float | None = None
    prices: list[_ModelPrice]


def parse(content: Any, *, source: str) -> DeploymentCatalogue:
    """The catalogue of a YAML file's content. Raises SettingsError, which names `source`, the keys, and what to do."""
    given = _validated(_Catalogue, content, source)
    deployments = tuple(_deployment(d) for d in given.deployments)
    _check(deployments, given, source)
    return DeploymentCatalogue(
        version=_version(given.version, content),
        providers={
            name: Provider(name, p.kind, p.address.rstrip("/"), p.key_env, p.address_env) for name, p in given.providers.items()
        },
        deployments=deployments,
        tenants={name: TenantSettings(t.lanes) for name, t in given.tenants.items()},
    )


def parse_prices(content: Any, *, source: str) -> tuple[dict[tuple[str, str], Price], str]:
    """Prices by (provider, model), and the version that cost events carry. Raises SettingsError."""
    given = _validated(_Prices, content, source)
    prices: dict[tuple[str, str], Price] = {}
    for i, entry in enumerate(given.prices):
        if (entry.provider, entry.model) in prices:
            raise SettingsError(f"{source}: prices[{i}] prices {entry.model} of {entry.provider} again; keep one of the two")
        prices[entry.provider, entry.model] = _price(entry)
    return prices, f"prices {_version(given.version, content)}"


def _validated(model: type[M], content: Any, source: str) -> M:
    if not isinstance(content, dict):
        raise SettingsError(f"{source} holds no mapping of keys; it needs {', '.join(model.model_fields)}")
    try:
        return model.model_validate(content)
    except ValidationError as error:
        problems = [f"  {_where(e['loc'], content)}: {_told(e)}" for e in error.errors(include_input=False, include_url=False)]
        raise SettingsError("\n".join([f"{source} cannot be used; correct these keys:", *problems])) from None


def _where(location: tuple[int | str, ...], content: dict[str, Any]) -> str:
    """The key's path, with the name of the deployment that it belongs to."""
    path = re.sub(r"\.\[", "[", ".".join(f"[{part}]" if isinstance(part, int) else part for part in location))
    if len(location) > 1 and location[0] == "deployments" and isinstance(location[1], int):
        entry = content["deployments"][location[1]]
        name = entry.get("name") or entry.get("model") if isinstance(entry, dict) else None
        return f"{path} (deployment {name})" if isinstance(name, str) and name.isprintable() else path
    return path


def _told(error: Any) -> str:
    if error["type"] == "extra_forbidden":
        return "is no key of this file; check its spelling or remove it"
    if error["type"] == "missing":
        return "is missing"
    if error["loc"][-1] == "key_env":
        return "names the environment variable that holds the key, such as OPENAI_API_KEY; the key itself never stands here"
    return str(error["msg"])


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


def _deployment(given: _Deployment) -> Deployment:
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
        json_mode=given.json_mode,
        price=None if given.price is None else _price(given.price),
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
