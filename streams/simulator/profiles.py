"""How a provider behaves: its latency and its faults. The written form is in `profile_text`."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from statistics import NormalDist
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field

from streams.simulator.chance import draw, uniform
from streams.simulator.faults import FaultKind, FaultRule

_NORMAL = NormalDist()
_STRICT = ConfigDict(extra="forbid", allow_inf_nan=False)
MAX_MS = 3_600_000.0


@dataclass(frozen=True, slots=True)
class Latency:
    """A log-normal time with this median; `sigma` 0 makes it fixed."""

    __pydantic_config__ = _STRICT

    median: Annotated[float, Field(ge=0, le=MAX_MS)] = 0.0
    sigma: Annotated[float, Field(ge=0, le=5)] = 0.0

    def at(self, luck: float) -> float:
        """Milliseconds, rising with `luck`, which is in [0, 1).

        >>> Latency(100, 0.5).at(0.5), Latency(100).at(0.99)
        (100.0, 100)
        """
        if self.sigma == 0.0:
            return self.median
        return min(self.median * math.exp(self.sigma * _NORMAL.inv_cdf(min(max(luck, 1e-9), 1 - 1e-9))), MAX_MS)


def _as_latency(value: Any) -> Any:
    return {"median": value} if isinstance(value, int | float) else value


def _checked(rule: FaultRule) -> FaultRule:
    if rule.fault.kind is FaultKind.REFUSED and (rule.rate, rule.every, rule.first) != (None, None, None):
        raise ValueError("`refused` is a time when the port is closed: give it `from_s` and `to_s` only")
    return rule


_AnyLatency = Annotated[Latency, BeforeValidator(_as_latency)]


@dataclass(frozen=True, slots=True)
class Profile:
    """`first_token_ms` passes before the first byte, `per_token_ms` for each token of output, streamed or not.

    `listening` False closes the provider's own port; it needs one (`--provider-port`). `requests_per_minute` is told in the
    headers of replies and refuses nobody.
    """

    __pydantic_config__ = _STRICT

    first_token_ms: _AnyLatency = field(default_factory=Latency)
    per_token_ms: _AnyLatency = field(default_factory=Latency)
    tokens_per_event: Annotated[int, Field(ge=1)] = 4
    faults: tuple[Annotated[FaultRule, AfterValidator(_checked)], ...] = ()
    seed: int = 0
    listening: bool = True
    requests_per_minute: Annotated[int, Field(ge=1)] | None = None

    def first_token_s(self, call: int) -> float:
        """Seconds before the first byte of the nth call's reply."""
        latency = self.first_token_ms
        return latency.at(uniform(self.seed, call, -1) if latency.sigma else 0.5) / 1000

    def tokens_s(self, call: int, tokens: int, *, part: int = 0) -> float:
        """Seconds that generating `tokens` tokens of the nth call takes; `part` tells the parts of a stream apart."""
        latency = self.per_token_ms
        return tokens * latency.at(uniform(self.seed, call, -2 - part) if latency.sigma else 0.5) / 1000

    def refuses(self, at_s: float) -> bool:
        """Whether the provider's own port is closed, this long after the profile was set."""
        return not self.listening or any(
            rule.fault.kind is FaultKind.REFUSED and rule.strikes(call=0, at_s=at_s, luck=0.0) for rule in self.faults
        )

    @property
    def ever_refuses(self) -> bool:
        return not self.listening or any(rule.fault.kind is FaultKind.REFUSED for rule in self.faults)


@dataclass(frozen=True, slots=True)
class Profiles:
    __pydantic_config__ = _STRICT

    default: Profile = field(default_factory=Profile)
    providers: Mapping[str, Profile] = field(default_factory=dict)
    seed: int | None = None

    def of(self, provider: str) -> Profile:
        """The provider's profile. `seed`, when given, replaces each profile's own, mixed with the provider's name."""
        profile = self.providers.get(provider, self.default)
        if self.seed is None:
            return profile
        return replace(profile, seed=draw(self.seed, *provider.encode()))
