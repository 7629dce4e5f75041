"""What is asked: InferenceRequest and its parts."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class Operation(StrEnum):
    """What is asked for, in OpenTelemetry GenAI terms."""

    UNKNOWN = "unknown"
    CHAT = "chat"
    TEXT_COMPLETION = "text_completion"
    EMBEDDINGS = "embeddings"
    CLASSIFICATION = "classification"
    ML = "ml"


class SpeedPriority(StrEnum):
    BALANCED = "balanced"
    FAST = "fast"
    CHEAP = "cheap"


class CacheMode(StrEnum):
    """`off` neither reads nor stores; `refresh` stores without reading."""

    DEFAULT = "default"
    OFF = "off"
    REFRESH = "refresh"


@dataclass(frozen=True, slots=True)
class ToolCall:
    id: str
    name: str
    arguments_json: str


@dataclass(frozen=True, slots=True)
class ContentPart:
    type: str
    text: str | None = None
    image_url: str | None = None
    data_json: str | None = None


@dataclass(frozen=True, slots=True)
class Message:
    role: str
    content: str | None = None
    parts: tuple[ContentPart, ...] = ()
    name: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None


@dataclass(frozen=True, slots=True)
class Sampling:
    """Sampling parameters; None means the provider's default."""

    temperature: float | None = None
    top_p: float | None = None
    max_output_tokens: int | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None


@dataclass(frozen=True, slots=True)
class Preferences:
    """What the sender wants of routing. `provider` pins; `providers` allows, best first; empty allows all."""

    providers: tuple[str, ...] = ()
    provider: str | None = None
    max_cost_nanousd: int | None = None
    speed_priority: SpeedPriority = SpeedPriority.BALANCED


@dataclass(frozen=True, slots=True)
class CachePolicy:
    mode: CacheMode = CacheMode.DEFAULT
    ttl_s: int | None = None


@dataclass(frozen=True, slots=True)
class InferenceRequest:
    """A request for inference, as published on ai.requests. `(tenant, request_id)` names it."""

    request_id: str
    tenant: str
    model: str
    user: str | None = None
    session: str | None = None
    operation: Operation = Operation.CHAT
    messages: tuple[Message, ...] = ()
    input: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    features_json: str | None = None
    sampling: Sampling = field(default_factory=Sampling)
    tools_json: str | None = None
    tool_choice_json: str | None = None
    response_format_json: str | None = None
    extra_json: str | None = None
    preferences: Preferences = field(default_factory=Preferences)
    cache: CachePolicy = field(default_factory=CachePolicy)
    stream: bool = False
    deadline: datetime | None = None
    metadata: dict[str, str] = field(default_factory=dict)
