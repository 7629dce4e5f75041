"""What clients send to OpenAI's and Anthropic's paths, as components of the OpenAPI document.

Their own references say more: what is described is what is read here, and what else there is goes along to the provider.
"""

from collections.abc import Mapping
from typing import Any

from processors.api.openapi_schemas import FLAG, MAYBE_TEXT, TEXT, WHOLE, Schema, a_list, an_object, ref
from processors.classify.validate import (
    MAX_ID_CHARS,
    MAX_INPUTS,
    MAX_METADATA,
    MAX_METADATA_CHARS,
    MAX_OUTPUT_TOKENS,
    MAX_STOPS,
)


def _between(low: float, high: float, kind: str = "number") -> dict[str, Any]:
    return {"type": [kind, "null"], "minimum": low, "maximum": high}


def _texts(most: int) -> dict[str, Any]:
    return {"anyOf": [TEXT, {"type": "array", "items": TEXT, "minItems": 1, "maxItems": most}]}


_OBJECT: Schema = {"type": "object"}
_TOKENS = _between(1, MAX_OUTPUT_TOKENS, "integer")
_USER: Schema = {"type": ["string", "null"], "minLength": 1, "maxLength": MAX_ID_CHARS}
_MODEL: Schema = {
    "anyOf": [{"const": "auto"}, {**TEXT, "maxLength": MAX_ID_CHARS}],
    "description": "`auto`, a model, or the name of a deployment.",
}
_METADATA: Schema = {
    "type": ["object", "null"],
    "maxProperties": MAX_METADATA,
    "propertyNames": {"maxLength": MAX_ID_CHARS},
    "additionalProperties": {"type": "string", "maxLength": MAX_METADATA_CHARS},
}
_SAMPLED: Mapping[str, Schema] = {"temperature": _between(0, 2), "top_p": _between(0, 1), "stream": FLAG}
_COMPLETED: Mapping[str, Schema] = {
    **_SAMPLED,
    "user": _USER,
    "metadata": _METADATA,
    "max_tokens": _TOKENS,
    "stop": {"anyOf": [*_texts(MAX_STOPS)["anyOf"], {"type": "null"}]},
    "seed": WHOLE,
    "presence_penalty": _between(-2, 2),
    "frequency_penalty": _between(-2, 2),
    "n": {"type": ["integer", "null"], "enum": [1, None]},
    "stream_options": {"type": ["object", "null"], "properties": {"include_usage": {"type": "boolean"}}},
}
_TEXT_PART = an_object("type text", type={"const": "text"}, text={"type": "string"})
_IMAGE_PART = an_object("type image_url", type={"const": "image_url"}, image_url=an_object("url", url={"type": "string"}))
_TOOL_CALL = an_object(
    "id type function",
    id={"type": "string"},
    type={"const": "function"},
    function=an_object("name arguments", name={"type": "string"}, arguments={"type": "string"}),
)
_FUNCTION: Mapping[str, Schema] = {"name": TEXT, "description": {"type": "string"}, "parameters": _OBJECT, "strict": FLAG}
_CHAT_TOOL = an_object("type function", type={"const": "function"}, function=an_object("name", **_FUNCTION))
_CHAT_CHOICE = an_object("type function", type={"const": "function"}, function=an_object("name", name=TEXT))
_CONTENT: Schema = {"anyOf": [TEXT, {"type": "array", "items": {"anyOf": [_TEXT_PART, _IMAGE_PART]}, "minItems": 1}]}
_BLOCKS: Schema = {"anyOf": [TEXT, {"type": "array", "items": _TEXT_PART, "minItems": 1}]}

BODIES: Mapping[str, Schema] = {
    "ChatMessage": {
        "anyOf": [
            an_object("role content", role={"enum": ["user", "system", "developer", "assistant"]}, content=_CONTENT),
            an_object(
                "role tool_calls",
                role={"const": "assistant"},
                content=MAYBE_TEXT,
                tool_calls={"type": "array", "items": _TOOL_CALL, "minItems": 1},
            ),
            an_object("role content tool_call_id", role={"const": "tool"}, content=_CONTENT, tool_call_id=TEXT),
        ],
        "description": "At least one message of a conversation is not of the system.",
    },
    "ChatCompletionRequest": an_object(
        "model messages",
        model=_MODEL,
        messages={**a_list("ChatMessage"), "minItems": 1},
        max_completion_tokens=_TOKENS,
        tools={"type": "array", "items": _CHAT_TOOL},
        tool_choice={"anyOf": [{"enum": ["none", "auto", "required"]}, _CHAT_CHOICE]},
        response_format=an_object("type", type={"enum": ["text", "json_object", "json_schema"]}, json_schema=_OBJECT),
        **_COMPLETED,
    ),
    "CompletionRequest": an_object("model prompt", model=_MODEL, prompt=_texts(1), **_COMPLETED),
    "EmbeddingsRequest": an_object(
        "model input",
        model=_MODEL,
        input=_texts(MAX_INPUTS),
        encoding_format={"type": ["string", "null"], "enum": ["float", "base64", None]},
        dimensions=_between(1, 65_536, "integer"),
        user=_USER,
    ),
    "ResponsesRequest": an_object(
        "model input",
        model=_MODEL,
        input={"anyOf": [TEXT, {**a_list("ResponsesItem"), "minItems": 1}]},
        instructions=MAYBE_TEXT,
        max_output_tokens=_TOKENS,
        tools={"type": "array", "items": an_object("type name", type={"const": "function"}, **_FUNCTION)},
        tool_choice={
            "anyOf": [
                {"enum": ["none", "auto", "required"]},
                an_object("type name", type={"const": "function"}, name=TEXT),
            ]
        },
        text=an_object(format=an_object("type", type={"enum": ["text", "json_object"]})),
        reasoning=an_object(effort={"enum": ["minimal", "low", "medium", "high"]}),
        user=_USER,
        metadata=_METADATA,
        **_SAMPLED,
    ),
    "ResponsesItem": {
        **an_object("role content", role={"enum": ["user", "assistant", "system", "developer"]}, content=TEXT),
        "description": "A message; function calls, their outputs and reasoning are items as well.",
    },
    "MessagesRequest": {
        **ref("CountTokensRequest"),
        **an_object(
            "max_tokens",
            max_tokens={"type": "integer", "minimum": 1, "maximum": MAX_OUTPUT_TOKENS},
            top_k=_between(0, 2**31 - 1, "integer"),
            stop_sequences={"type": "array", "items": TEXT, "maxItems": MAX_STOPS},
            thinking=_OBJECT,
            metadata=an_object(user_id=_USER),
            **_SAMPLED,
        ),
    },
    "CountTokensRequest": an_object(
        "model messages",
        model=_MODEL,
        messages={
            "type": "array",
            "minItems": 1,
            "items": an_object("role content", role={"enum": ["user", "assistant"]}, content=_BLOCKS),
        },
        system=_BLOCKS,
        tools={
            "type": "array",
            "items": an_object("name input_schema", name=TEXT, description={"type": "string"}, input_schema=_OBJECT),
        },
        tool_choice={
            "anyOf": [
                an_object("type", type={"enum": ["auto", "any", "none"]}),
                an_object("type name", type={"const": "tool"}, name=TEXT),
            ]
        },
    ),
}
