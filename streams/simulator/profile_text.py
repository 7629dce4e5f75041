"""How a provider behaves: its latency and its faults. As YAML, as a command-line option, as data.

    seed: 1
    default:
      first_token_ms: {median: 250, sigma: 0.4}   # log-normal; a plain number is a fixed time
      per_token_ms: 2
    providers:
      openai:
        faults:
          - {fault: "http_429:2", rate: 0.05}
          - {fault: hang, every: 50}
          - {fault: http_503, from_s: 10, to_s: 20}

A provider that is named takes nothing from `default`; one that is not behaves as `default` says.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml
from pydantic import TypeAdapter, ValidationError

from schemas.errors import SettingsError
from streams.simulator.faults import FaultRule
from streams.simulator.profiles import Profile, Profiles

_PROFILE = TypeAdapter(Profile)
_PROFILES = TypeAdapter(Profiles)
_RULE = TypeAdapter(FaultRule)


def _problems(error: ValidationError) -> str:
    return "; ".join(f"{'.'.join(map(str, e['loc'])) or 'the whole'}: {e['msg']}" for e in error.errors(include_input=False))


def profile_from(data: Any) -> Profile:
    """Raises SettingsError when `data` is not a profile."""
    try:
        return _PROFILE.validate_python(data)
    except ValidationError as error:
        raise SettingsError(f"this is not a simulator profile: {_problems(error)}") from error


def profile_as_data(profile: Profile) -> dict[str, Any]:
    """The profile as plain values, which `profile_from` reads back."""
    data: dict[str, Any] = _PROFILE.dump_python(profile, mode="json", exclude_none=True)
    return data


def load(path: Path) -> Profiles:
    """The profiles of a YAML file. Raises SettingsError when it cannot be read or says something unknown."""
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SettingsError(f"the simulator profile {path} cannot be read: {error}") from error
    try:
        return _PROFILES.validate_python(data or {})
    except ValidationError as error:
        raise SettingsError(f"the simulator profile {path} is wrong: {_problems(error)}") from error


def parse_option(text: str) -> tuple[str, FaultRule]:
    """Provider and rule from `PROVIDER=FAULT[@CONDITION=VALUE,...]`; the provider may be `default`.

    >>> parse_option("openai=http_503@from_s=10,to_s=20")[1].to_s
    20.0
    """
    provider, equals, rest = text.partition("=")
    fault, at, conditions = rest.partition("@")
    data: dict[str, Any] = {"fault": fault}
    for condition in conditions.split(",") if at else ():
        name, _, value = condition.partition("=")
        data[name.strip()] = value.strip()
    if not (provider and equals):
        raise SettingsError(f"{text!r} names no provider; write PROVIDER=FAULT[@CONDITION=VALUE,...]")
    try:
        return provider, _RULE.validate_python(data)
    except ValidationError as error:
        raise SettingsError(f"{text!r} is not PROVIDER=FAULT[@CONDITION=VALUE,...]: {_problems(error)}") from error


def with_rule(profiles: Profiles, provider: str, rule: FaultRule) -> Profiles:
    """The profiles with one more rule; a provider without a profile of its own begins with the default one."""
    if provider == "default":
        return replace(profiles, default=replace(profiles.default, faults=(*profiles.default.faults, rule)))
    profile = profiles.providers.get(provider, profiles.default)
    changed = replace(profile, faults=(*profile.faults, rule))
    return replace(profiles, providers={**profiles.providers, provider: changed})
