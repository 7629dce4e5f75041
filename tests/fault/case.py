"""What a fault case is: a stack to run on, something to do to it, and what was observed."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.fault.rig import Rig

OPENAI, ANTHROPIC = "openai", "anthropic"
PROVIDERS = (OPENAI, ANTHROPIC)
FAST, LONG = "fast", "long"
ROLES: Mapping[str, int] = {"intake": 2, "dispatch": 2, "calls:openai": 2, "calls:anthropic": 1, "tables": 1}
CALM: Mapping[str, Any] = {"first_token_ms": {"median": 60, "sigma": 0.5}, "per_token_ms": 1.5}
"""A simulator profile: replies of 8 to 40 tokens take 20 to 250 ms."""


def deployments(*, timeout_s: float = 3.0, max_concurrency: int = 64) -> dict[str, Any]:
    """A catalogue of one cheap model at each of two providers; unpinned requests go to OpenAI first."""
    common = {"timeout_s": timeout_s, "max_output_tokens": 500, "max_concurrency": max_concurrency}
    return {
        "version": "fault",
        "providers": {name: {"kind": name, "address": "http://127.0.0.1:1"} for name in PROVIDERS},
        "deployments": [
            {"provider": OPENAI, "model": "gpt-4o-mini", **common},
            {"provider": ANTHROPIC, "model": "claude-haiku-4-5", **common},
        ],
    }


@dataclass(frozen=True, slots=True)
class StackSpec:
    """The stack a case needs. Cases with equal specs share one, which stays up between repeats.

    `settings` are fields of `streams.settings.Settings`; `catalogue` is what a deployments file holds; `profiles` what a
    simulator profile file holds; `environment` comes on top of ours for every process; `broker` on top of the test broker's
    properties. Without `valkey` the cache's address is one where nothing listens.
    """

    roles: Mapping[str, int] = field(default_factory=lambda: dict(ROLES))
    session_timeout_ms: int = 6_000
    settings: Mapping[str, Any] = field(default_factory=dict)
    catalogue: Mapping[str, Any] = field(default_factory=deployments)
    profiles: Mapping[str, Any] = field(default_factory=lambda: {"default": dict(CALM)})
    environment: Mapping[str, str] = field(default_factory=dict)
    broker: Mapping[str, str] = field(default_factory=dict)
    topic_config: Mapping[str, str] = field(default_factory=dict)
    valkey: bool = True

    @property
    def providers(self) -> tuple[str, ...]:
        return tuple(self.catalogue["providers"])


@dataclass(frozen=True, slots=True)
class Observed:
    """What one repeat showed. `problems` empty means clean. `duplicate_calls`, `estimated` are those of this repeat alone."""

    requests: int
    duplicate_calls: int = 0
    estimated: int = 0
    recovery_s: float | None = None
    notes: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()

    def also(self, *problems: str, notes: tuple[str, ...] = ()) -> "Observed":
        """The same with more problems and notes; empty strings are none."""
        return replace(self, problems=(*self.problems, *filter(None, problems)), notes=(*self.notes, *notes))


@dataclass(frozen=True, slots=True)
class Case:
    """One row of the matrix. `repeats_at_most` bounds `--repeat`.

    The tag FAST puts it into the test suite; LONG takes it out of a pass over all cases, which may take 40 minutes.
    """

    id: str
    title: str
    run: "Callable[[Rig], Awaitable[Observed]]"
    tags: frozenset[str] = frozenset()
    stack: StackSpec = field(default_factory=StackSpec)
    repeats_at_most: int = 1_000
