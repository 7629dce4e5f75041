"""What `penstock cache` does."""

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from processors.cache.key import key_part
from processors.cache.seal import unseal
from schemas.errors import RecordError, SettingsError, StoreUnavailable
from schemas.ledger import CostEvent
from schemas.outcomes import CacheState, InferenceResponse
from schemas.serde import Codec
from streams import money, topics
from streams.beginning import At, Beginning, Start, parse_time
from streams.cli import screen
from streams.cli.reading import broker_errors, open_reader
from streams.cli.wire import open_serde
from streams.embedded.project import Project
from streams.settings import Settings
from streams.stores.secret import cache_secret
from streams.stores.valkey import Valkey
from streams.stores.valkey_cache import KEY_PREFIX
from streams.target import find_target, read_settings

_TIMEOUT_S = 5.0
_SERVED = tuple(state for state in CacheState if state.served)


@dataclass(slots=True)
class Counted:
    """Final responses by what the cache did for them, and what was avoided, in nano-dollars."""

    states: Counter[CacheState]
    avoided_nanousd: int = 0

    @property
    def asked(self) -> int:
        return sum(self.states[state] for state in (*_SERVED, CacheState.MISS))

    @property
    def hit_rate(self) -> float | None:
        """Of the responses whose request asked the cache; None when none did."""
        return sum(self.states[state] for state in _SERVED) / self.asked if self.asked else None


async def show_stats(
    bootstrap_servers: str | None, data_dir: Path | None, *, since: str | None, tenant: str | None, as_json: bool
) -> None:
    """Print the counts. Raises SettingsError."""
    begin = Beginning() if since is None else At(parse_time(since, "--since takes a time such as 2026-01-31T15:00Z"))
    target = find_target(bootstrap_servers, data_dir)
    with broker_errors(target.settings):
        counted = await _count(target.settings, begin, tenant)
    if as_json:
        screen.put_json(
            {
                **{state.value: counted.states[state] for state in CacheState},
                "hit_rate": counted.hit_rate,
                "avoided_nanousd": counted.avoided_nanousd,
            }
        )
        return
    for state in CacheState:
        screen.put(f"{state.value:<10} {counted.states[state]:>12,}")
    rate = "no request asked the cache" if counted.hit_rate is None else f"{counted.hit_rate:.1%} of {counted.asked:,} that asked"
    screen.put(f"{'hit rate':<10} {rate}")
    screen.put(f"{'saved':<10} {money.dollars(counted.avoided_nanousd)}")


@dataclass(frozen=True, slots=True)
class Condition:
    """Which answers to forget: all that are given must hold."""

    tenant: str | None = None
    model: str | None = None
    pattern: str | None = None

    @property
    def empty(self) -> bool:
        return self.tenant is None and self.model is None and self.pattern is None

    def glob(self) -> str:
        """What keys are searched by; the model that has answered stands in the answer alone."""
        if self.pattern is not None:
            return KEY_PREFIX + self.pattern
        return KEY_PREFIX + ("*" if self.tenant is None else f"{key_part(self.tenant)}:*")


async def run_drop(
    condition: Condition, bootstrap_servers: str | None, data_dir: Path | None, *, everything: bool, as_json: bool
) -> None:
    """Forget what the condition says, and print how many. Raises SettingsError."""
    if condition.empty != everything:
        raise SettingsError("say which answers: --tenant, --model or --pattern; or --all, and nothing beside it")
    settings = _cache_settings(bootstrap_servers, data_dir)
    serde = await open_serde(settings, [topics.RESPONSES]) if condition.model is not None else None
    try:
        async with Valkey(str(settings.redis_url), timeout_s=_TIMEOUT_S, store_timeout_s=_TIMEOUT_S) as valkey:
            dropped = 0
            async for keys in _matching(valkey, condition, serde.of(InferenceResponse) if serde else None, settings):
                dropped += await valkey.drop(keys)
    except StoreUnavailable as error:
        raise SettingsError(f"{error}; start Valkey, or correct REDIS_URL, then run the command again") from error
    if as_json:
        screen.put_json({"dropped": dropped})
    else:
        screen.put(f"{money.plural(dropped, 'answer')} forgotten; intake holds copies for another minute at most")


async def _matching(
    valkey: Valkey, condition: Condition, codec: Codec[InferenceResponse] | None, settings: Settings
) -> AsyncIterator[Sequence[bytes]]:
    tenant = None if condition.tenant is None else f"{KEY_PREFIX}{key_part(condition.tenant)}:".encode()
    secret = cache_secret(settings)
    async for found in valkey.keys(condition.glob()):
        keys = [key for key in found if tenant is None or key.startswith(tenant)]
        if condition.model is not None and codec is not None and keys:
            values = await valkey.get_many(keys)
            keys = [
                key
                for key, value in zip(keys, values, strict=True)
                if value is not None and _is_of(key, value, condition.model, codec, secret)
            ]
        if keys:
            yield keys


def _is_of(key: bytes, value: bytes, model: str, codec: Codec[InferenceResponse], secret: bytes) -> bool:
    """Whether the answer is of the model. One that cannot be read is of no model: it is never given, and ends by itself."""
    sealed = unseal(secret, key.decode().removeprefix(KEY_PREFIX), value)
    if sealed is None:
        return False
    try:
        answer = codec.decode(sealed)
    except RecordError:
        return False
    return model in {answer.request_model, answer.response_model, answer.deployment, (answer.deployment or "").partition("/")[2]}


def _cache_settings(bootstrap_servers: str | None, data_dir: Path | None) -> Settings:
    """The settings with the address of the cache: the user's own, or that of the stack which runs."""
    settings = read_settings(bootstrap_servers=bootstrap_servers, data_dir=data_dir)
    if settings.redis_url is None and (stack := Project(settings.data_dir).running()) is not None:
        found = {"redis_url": stack.redis_url, "bootstrap_servers": settings.bootstrap_servers or stack.bootstrap_servers}
        settings = settings.model_copy(update=found)
    if settings.redis_url is None:
        raise SettingsError("there is no cache: set REDIS_URL, or start a stack with `penstock up`")
    return settings


async def _count(settings: Settings, begin: Start, tenant: str | None) -> Counted:
    serde = await open_serde(settings, [topics.RESPONSES, topics.COSTS])
    responses, costs, counted = serde.of(InferenceResponse), serde.of(CostEvent), Counted(Counter())
    async with open_reader(settings, [topics.RESPONSES, topics.COSTS]) as reader:
        ends = await reader.ends()
        await reader.seek(begin)
        async for record in reader.until(ends):
            try:
                if record.topic == topics.RESPONSES:
                    response = responses.decode(record.value)
                    counted.states[response.cache] += response.final and tenant in {None, response.tenant}
                else:
                    event = costs.decode(record.value)
                    counted.avoided_nanousd += (event.avoided_nanousd or 0) if tenant in {None, event.tenant} else 0
            except RecordError as error:
                screen.say(f"{record.topic}-{record.partition}@{record.offset} is left out: {error}")
    return counted
