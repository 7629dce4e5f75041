"""`/_sim`: read and change the simulator while it runs.

GET    /_sim/profiles              all profiles
PUT    /_sim/profiles/{provider}   set one, as JSON; its calls and seconds count from here. `default` is a provider too
DELETE /_sim/profiles/{provider}   back to the default profile
GET    /_sim/stats                 counters by provider
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Protocol

import orjson

from schemas.errors import SettingsError
from streams.simulator.profile_text import profile_as_data, profile_from
from streams.simulator.profiles import Profiles
from streams.simulator.reply import Reply, plain
from streams.simulator.stats import ProviderStats

PREFIX = "/_sim/"
_PROVIDER = re.compile(r"profiles/([A-Za-z0-9_.-]{1,64})\Z")


class Administered(Protocol):
    profiles: Profiles

    @property
    def stats(self) -> Mapping[str, ProviderStats]:
        """Counters by provider."""

    def set_profiles(self, profiles: Profiles, *, changed: str) -> None:
        """Raises SettingsError when they cannot be had."""


def administer(simulator: Administered, method: str, path: str, raw: bytes) -> Reply:
    """The reply to a request under `/_sim/`."""
    action = path.removeprefix(PREFIX)
    if method == "GET" and action == "profiles":
        return _json(200, profiles_as_data(simulator.profiles))
    if method == "GET" and action == "stats":
        return _json(200, {name: stats.as_data() for name, stats in sorted(simulator.stats.items())})
    if match := _PROVIDER.match(action):
        try:
            return _change(simulator, method, match[1], raw)
        except (SettingsError, orjson.JSONDecodeError) as error:
            return _json(400, {"error": str(error)})
    return _json(404, {"error": "there are GET profiles, GET stats, PUT and DELETE profiles/{provider}"})


def profiles_as_data(profiles: Profiles) -> dict[str, Any]:
    """The profiles as plain values, in the form of the YAML file."""
    providers = {name: profile_as_data(profile) for name, profile in profiles.providers.items()}
    return {"default": profile_as_data(profiles.default), "providers": providers, "seed": profiles.seed}


def _change(simulator: Administered, method: str, provider: str, raw: bytes) -> Reply:
    profiles = simulator.profiles
    if method == "PUT":
        profile = profile_from(orjson.loads(raw))
        if provider == "default":
            profiles = replace(profiles, default=profile)
        else:
            profiles = replace(profiles, providers={**profiles.providers, provider: profile})
    elif method == "DELETE" and provider != "default":
        profiles = replace(profiles, providers={k: v for k, v in profiles.providers.items() if k != provider})
    else:
        return _json(405, {"error": "a profile can be PUT, and, unless it is `default`, DELETEd"})
    simulator.set_profiles(profiles, changed=provider)
    return _json(200, profiles_as_data(profiles))


def _json(status: int, data: Any) -> Reply:
    return plain(status, "application/json", orjson.dumps(data))
