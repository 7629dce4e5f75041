"""The cache key of a request, and the digest that tells a request sent again from another one under its id.

Both are SHA-256 over one canonical form: the fields of the question in a fixed order, as JSON with sorted object keys, with the
pass-through JSON parsed, so that neither its spacing nor the order of its fields matters.
"""

import hashlib
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import orjson

from schemas.requests import CacheMode, InferenceRequest, Message

_KEY_VERSION = "penstock-answer/1"
"""Part of every key: raise it when the canonical form changes, and old answers are met no more."""


@dataclass(frozen=True, slots=True)
class Identity:
    """`cache_key` is `<tenant>:<model>:<digest>`, None when the sender wants no caching; `body_digest` has 32 bytes."""

    cache_key: str | None
    body_digest: bytes


def identify(request: InferenceRequest) -> Identity:
    """The cache key and the body digest of a valid request.

    The key covers the tenant, what is asked, of which model, and which providers may answer: an answer of one provider must
    not serve a request pinned to another. It leaves out who asks within the tenant, the id, the metadata, and how the
    answer is to be delivered or paid.

    The digest covers all but the id, the tenant (the two name the request) and what a sender may well change when it
    sends a request again: the deadline, streaming, and the metadata.

    Raises orjson.JSONDecodeError for pass-through JSON that `classify.validate` would have refused.
    """
    question = _canonical(_question(request))
    return Identity(
        cache_key=None if request.cache.mode is CacheMode.OFF else _cache_key(request, question),
        body_digest=_body_digest(request, question),
    )


def reads_cache(request: InferenceRequest) -> bool:
    return request.cache.mode is CacheMode.DEFAULT


def _cache_key(request: InferenceRequest, question: bytes) -> str:
    preferences = request.preferences
    answering = [preferences.provider] if preferences.provider is not None else sorted(set(preferences.providers))
    digest = hashlib.sha256(_canonical([_KEY_VERSION, request.tenant, answering]) + question).hexdigest()
    return f"{key_part(request.tenant)}:{key_part(request.model)}:{digest}"


def key_part(text: str) -> str:
    """A tenant or a model as it stands in a cache key: without a colon, and without what a search pattern gives a meaning.

    >>> key_part("acme/eu:*")
    'acme%2Feu%3A%2A'
    """
    return quote(text, safe="")


def _body_digest(request: InferenceRequest, question: bytes) -> bytes:
    preferences, policy = request.preferences, request.cache
    wanted = [preferences.provider, preferences.providers, preferences.max_cost_nanousd, preferences.speed_priority]
    asking = [request.user, request.session, wanted, [policy.mode, policy.ttl_s]]
    return hashlib.sha256(_canonical(asking) + question).digest()


def _question(request: InferenceRequest) -> list[Any]:
    """Fields by hand and by position: a field that a later version adds must not change the form of requests without it."""
    sampling = request.sampling
    return [
        request.operation,
        request.model,
        [_message(message) for message in request.messages],
        request.input,
        request.labels,
        _parsed(request.features_json),
        [
            sampling.temperature,
            sampling.top_p,
            sampling.max_output_tokens,
            sampling.stop,
            sampling.seed,
            sampling.presence_penalty,
            sampling.frequency_penalty,
        ],
        _parsed(request.tools_json),
        _parsed(request.tool_choice_json),
        _parsed(request.response_format_json),
        _parsed(request.extra_json),
    ]


def _message(message: Message) -> list[Any]:
    return [
        message.role,
        message.content,
        [[part.type, part.text, part.image_url, _parsed(part.data_json)] for part in message.parts],
        message.name,
        [[call.id, call.name, call.arguments_json] for call in message.tool_calls],
        message.tool_call_id,
    ]


def _parsed(text: str | None) -> Any:
    """Pass-through JSON as a value; wrapped, because JSON's `null` is not the same as nothing given."""
    return None if text is None else [orjson.loads(text)]


def _canonical(value: Any) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
