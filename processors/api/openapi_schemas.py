"""The components of the OpenAPI document: its words, and what clients are answered.

Shapes that are others' (OpenAI's, Anthropic's) are described as far as they are read or written here, and their own references
say the rest; those of our records come from their Avro schemas.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

from processors.api.openapi_avro import records

Schema = Mapping[str, Any]

TEXT: Schema = {"type": "string", "minLength": 1}
FLAG: Schema = {"type": ["boolean", "null"]}
COUNT: Schema = {"type": "integer", "minimum": 0}
NUMBER: Schema = {"type": ["number", "null"]}
WHOLE: Schema = {"type": ["integer", "null"], "minimum": -(2**63) + 1, "maximum": 2**63 - 1}
TIME: Schema = {"type": "string", "format": "date-time"}
MAYBE_TEXT: Schema = {"type": ["string", "null"]}
TEXTS: Schema = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}
OBJECTS: Schema = {"type": "array", "items": {"type": "object"}}
_OBJECT: Schema = {"type": "object"}
_JSON_OF = ("features", "tools", "tool_choice", "response_format", "extra")


def an_object(required: str = "", /, **properties: Schema) -> dict[str, Any]:
    """The schema of an object; `required` names, with spaces between, what is always there."""
    return {"type": "object", "properties": properties, **({"required": required.split()} if required else {})}


def a_list(of: str) -> dict[str, Any]:
    return {"type": "array", "items": ref(of)}


def ref(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}


_USAGE = an_object("prompt_tokens total_tokens", prompt_tokens=COUNT, completion_tokens=COUNT, total_tokens=COUNT)
_ANSWERED: Mapping[str, Schema] = {
    "ChatCompletion": an_object(
        "id object created model choices",
        id={"type": "string"},
        object={"const": "chat.completion"},
        created={"type": "integer"},
        model={"type": "string"},
        choices=OBJECTS,
        usage={"anyOf": [_USAGE, {"type": "null"}]},
    ),
    "Completion": an_object(
        "id object created model choices",
        id={"type": "string"},
        object={"const": "text_completion"},
        created={"type": "integer"},
        model={"type": "string"},
        choices=OBJECTS,
        usage={"anyOf": [_USAGE, {"type": "null"}]},
    ),
    "Embeddings": an_object(
        "object data model usage", object={"const": "list"}, data=OBJECTS, model={"type": "string"}, usage=_USAGE
    ),
    "Response": an_object(
        "id object created_at model output status",
        id={"type": "string"},
        object={"const": "response"},
        created_at={"type": "number"},
        model={"type": "string"},
        output=OBJECTS,
        status={"type": "string"},
    ),
    "Message": an_object(
        "id type role model content stop_reason usage",
        id={"type": "string"},
        type={"const": "message"},
        role={"const": "assistant"},
        model={"type": "string"},
        content=OBJECTS,
        stop_reason=MAYBE_TEXT,
        usage=_OBJECT,
    ),
    "TokenCount": an_object("input_tokens", input_tokens=COUNT),
    "Model": an_object("id", id={"type": "string"}, object={"type": "string"}, created={"type": "integer"}),
    "Models": an_object("data", object={"type": "string"}, data=a_list("Model")),
    "Accepted": an_object(
        "request_id status events", request_id={"type": "string"}, status={"type": "string"}, events={"type": "string"}
    ),
    "RequestShown": an_object(
        "request_id status lineage",
        request_id={"type": "string"},
        status={"type": "string"},
        response={"anyOf": [ref("InferenceResponse"), {"type": "null"}]},
        cost={"type": ["object", "null"]},
        explanation={},
        lineage=OBJECTS,
    ),
}

_REFUSED: Mapping[str, Schema] = {
    "OpenAiError": an_object(
        "error",
        error=an_object("message type", message={"type": "string"}, type={"type": "string"}, param=MAYBE_TEXT, code=MAYBE_TEXT),
    ),
    "AnthropicError": an_object(
        "type error",
        type={"const": "error"},
        error=an_object("type message", type={"type": "string"}, message={"type": "string"}),
        request_id={"type": "string"},
    ),
    "Problem": an_object("title status detail", title={"type": "string"}, status={"type": "integer"}, detail={"type": "string"}),
    "RegistryError": an_object("error_code message", error_code={"type": "integer"}, message={"type": "string"}),
}


@cache
def components() -> Mapping[str, Schema]:
    """Every schema by name."""
    ours = records("InferenceRequest", "InferenceResponse")
    ours["ConversationMessage"] = ours.pop("Message")  # Anthropic has the name
    renamed = _renamed(ours, "Message", "ConversationMessage")
    return {**renamed, "NativeRequest": _native(renamed["InferenceRequest"]), **_ANSWERED, **_REFUSED}


def _native(record: Schema) -> dict[str, Any]:
    """The record without what the edge says itself; JSON stands in place of its text, which would do as well."""
    left_out = {"request_id", "tenant", *(f"{name}_json" for name in _JSON_OF)}
    kept = {name: schema for name, schema in record["properties"].items() if name not in left_out}
    return {
        "type": "object",
        "description": "The fields of InferenceRequest; `tools_json` and the like, with text, may take the place of `tools`.",
        "properties": {**kept, **{name: {} for name in _JSON_OF}},
        "additionalProperties": False,
        "anyOf": [{"required": ["messages"]}, *({"required": ["operation", name]} for name in ("input", "features"))],
    }


def _renamed(value: Any, old: str, new: str) -> Any:
    """With references to another name."""
    if isinstance(value, dict):
        target = f"#/components/schemas/{old}"
        if value.get("$ref") == target:
            return {**value, "$ref": f"#/components/schemas/{new}"}
        return {name: _renamed(each, old, new) for name, each in value.items()}
    return [_renamed(each, old, new) for each in value] if isinstance(value, list) else value
