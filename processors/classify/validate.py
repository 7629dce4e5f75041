"""What a request must keep to, besides its schema. The reasons are for the producer."""

from collections.abc import Iterator, Mapping

import orjson

from schemas.requests import InferenceRequest, Message, Operation, Sampling

MAX_ID_CHARS = 256
MAX_JSON_DEPTH = 64
MAX_MESSAGES = 2_048
MAX_INPUTS = 2_048
MAX_LABELS = 1_024
MAX_METADATA = 64
MAX_METADATA_CHARS = 4_096
MAX_STOPS = 16
MAX_PROVIDERS = 64
MAX_OUTPUT_TOKENS = 1_000_000
MAX_CACHE_TTL_S = 31_536_000
_MAX_PROBLEMS = 8
_ROLES = frozenset({"system", "developer", "user", "assistant", "tool"})
_INPUT_OPERATIONS = frozenset({Operation.TEXT_COMPLETION, Operation.EMBEDDINGS, Operation.CLASSIFICATION})
_ONE_INPUT = frozenset({Operation.TEXT_COMPLETION, Operation.CLASSIFICATION})


def problems(request: InferenceRequest) -> tuple[str, ...]:
    """What is wrong with a request: empty when nothing is, at most eight reasons, none of which quotes a prompt."""
    found: list[str] = []
    for problem in _problems(request):
        found.append(problem)
        if len(found) == _MAX_PROBLEMS:
            break
    return tuple(found)


def _problems(request: InferenceRequest) -> Iterator[str]:
    yield from _identity(request)
    yield from _input(request)
    yield from _counts(request)
    if request.messages:
        yield from _messages(request.messages)
    if request.sampling != _DEFAULT_SAMPLING:
        yield from _sampling(request.sampling)
    yield from _json(request)
    yield from _policies(request)


_DEFAULT_SAMPLING = Sampling()


def _identity(request: InferenceRequest) -> Iterator[str]:
    for name, text in (("request_id", request.request_id), ("tenant", request.tenant), ("model", request.model)):
        if not text or text.isspace():
            yield f"{name} is empty; give every request one"
        elif len(text) > MAX_ID_CHARS:
            yield f"{name} has {len(text)} characters, {MAX_ID_CHARS} are allowed"
        elif not text.isprintable():
            yield f"{name} holds control characters; use printable ones"
    for name, optional in (("user", request.user), ("session", request.session)):
        if optional is not None and len(optional) > MAX_ID_CHARS:
            yield f"{name} has {len(optional)} characters, {MAX_ID_CHARS} are allowed"


def _input(request: InferenceRequest) -> Iterator[str]:
    operation = request.operation
    if operation is Operation.UNKNOWN:
        yield "operation is unknown; use chat, text_completion, embeddings, classification or ml"
    elif operation is Operation.CHAT and not request.messages:
        yield "chat needs messages; `input` is for the other operations"
    elif operation in _INPUT_OPERATIONS and not any(request.input):
        yield f"{operation.value} needs a text in `input`"
    elif operation is Operation.ML and request.features_json is None:
        yield "ml needs features_json"
    if operation in _ONE_INPUT and len(request.input) > 1:
        yield f"{operation.value} takes one text, `input` has {len(request.input)}; send a request for each"
    if operation is Operation.CLASSIFICATION and (len(set(request.labels)) < 2 or not all(request.labels)):
        yield "classification needs at least two different labels, none of them empty"


def _counts(request: InferenceRequest) -> Iterator[str]:
    for name, count, allowed in (
        ("messages", len(request.messages), MAX_MESSAGES),
        ("input", len(request.input), MAX_INPUTS),
        ("labels", len(request.labels), MAX_LABELS),
        ("metadata", len(request.metadata), MAX_METADATA),
        ("sampling.stop", len(request.sampling.stop), MAX_STOPS),
        ("preferences.providers", len(request.preferences.providers), MAX_PROVIDERS),
    ):
        if count > allowed:
            yield f"{name} has {count} entries, {allowed} are allowed"
    if any(len(name) > MAX_ID_CHARS or len(value) > MAX_METADATA_CHARS for name, value in request.metadata.items()):
        yield f"metadata holds a name over {MAX_ID_CHARS} or a value over {MAX_METADATA_CHARS} characters"


def _messages(messages: tuple[Message, ...]) -> Iterator[str]:
    for i, message in enumerate(messages):
        if message.role not in _ROLES:
            yield f"messages[{i}].role is not one of system, developer, user, assistant, tool"
        elif message.role == "tool" and message.tool_call_id is None:
            yield f"messages[{i}] is a tool's answer and needs the tool_call_id that it answers"
        if message.content is None and not message.parts and not message.tool_calls:
            yield f"messages[{i}] is empty; give content, parts or tool_calls"
        for j, part in enumerate(message.parts):
            if part.text is None and part.image_url is None and part.data_json is None:
                yield f"messages[{i}].parts[{j}] is empty; give text, image_url or data_json"
            if part.data_json is not None and (reason := _json_problem(part.data_json, dict)):
                yield f"messages[{i}].parts[{j}].data_json {reason}"
    if all(message.role in {"system", "developer"} for message in messages):
        yield "messages hold only system messages; a model needs something to answer"


def _sampling(sampling: Sampling) -> Iterator[str]:
    for name, value, low, high in (
        ("temperature", sampling.temperature, 0.0, 2.0),
        ("top_p", sampling.top_p, 0.0, 1.0),
        ("presence_penalty", sampling.presence_penalty, -2.0, 2.0),
        ("frequency_penalty", sampling.frequency_penalty, -2.0, 2.0),
        ("max_output_tokens", sampling.max_output_tokens, 1, MAX_OUTPUT_TOKENS),
    ):
        if value is not None and not low <= value <= high:
            yield f"sampling.{name} is {value}; it lies between {low} and {high}"


def _json(request: InferenceRequest) -> Iterator[str]:
    for name, text, shapes in (
        ("tools_json", request.tools_json, list),
        ("tool_choice_json", request.tool_choice_json, (str, dict)),
        ("response_format_json", request.response_format_json, dict),
        ("extra_json", request.extra_json, dict),
        ("features_json", request.features_json, (dict, list)),
    ):
        if text is not None and (reason := _json_problem(text, shapes)):
            yield f"{name} {reason}"


def _policies(request: InferenceRequest) -> Iterator[str]:
    if (ttl_s := request.cache.ttl_s) is not None and not 1 <= ttl_s <= MAX_CACHE_TTL_S:
        yield f"cache.ttl_s is {ttl_s}; it lies between 1 and {MAX_CACHE_TTL_S}"
    if (cost := request.preferences.max_cost_nanousd) is not None and cost < 0:
        yield f"preferences.max_cost_nanousd is {cost}; it cannot be negative"


def _json_problem(text: str, shapes: type | tuple[type, ...]) -> str | None:
    try:
        parsed = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        return f"is no JSON (at character {error.pos})"
    if not isinstance(parsed, shapes):
        wanted = shapes if isinstance(shapes, tuple) else (shapes,)
        return f"must hold {' or '.join(_JSON_NAMES[shape] for shape in wanted)}"
    if text.count("[") + text.count("{") > MAX_JSON_DEPTH and nests_deeper(parsed, MAX_JSON_DEPTH):
        return f"nests deeper than {MAX_JSON_DEPTH} levels"
    return None


_JSON_NAMES: Mapping[type, str] = {list: "an array", dict: "an object", str: "a string"}


def nests_deeper(parsed: object, levels: int) -> bool:
    """Whether arrays and objects stand in each other more than `levels` deep; without recursion of its own.

    >>> nests_deeper([{"a": 1}], 2), nests_deeper([{"a": [1]}], 2)
    (False, True)
    """
    layer = [parsed]
    for _ in range(levels + 1):
        nested = [item for item in layer if isinstance(item, (list, dict))]
        if not nested:
            return False
        layer = [child for item in nested for child in (item.values() if isinstance(item, dict) else item)]
    return True
