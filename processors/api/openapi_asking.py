"""The paths that ask: OpenAI's, Anthropic's, our own."""

from processors.api.openapi import SSE, Answer, Described, Errors, Parameter

FACTS = (
    "x-request-id",
    "x-penstock-provider",
    "x-penstock-deployment",
    "x-penstock-attempts",
    "x-penstock-cache",
    "x-penstock-cost-nanousd",
    "x-penstock-status",
)
_PUBLISH, _EITHER = ("publish",), ("publish", "read")
_STATUSES = (404, 409, 422, 429, 502, 503, 504)
_PATIENCE = Parameter(
    "x-penstock-timeout",
    "How many seconds the answer is worth waiting for.",
    {"type": "number", "exclusiveMinimum": 0, "maximum": 600},
    "header",
)
_ONCE = Parameter(
    "Idempotency-Key",
    "Has the request asked once, however often it is sent within 24 hours.",
    {"type": "string", "pattern": "^[!-~]{1,256}$"},
    "header",
)
_LEAVING = Parameter(
    "x-penstock-on-disconnect",
    "`cancel`: a client that leaves cancels its request; otherwise the call runs to its end.",
    {"enum": ["cancel", "drain"]},
    "header",
)
_ASKING = (_PATIENCE, _ONCE, _LEAVING)


def _asking(
    path: str, summary: str, body: str, answer: str, *, streams: bool = True, errors: Errors = Errors.OPENAI
) -> Described:
    anthropic = errors is Errors.ANTHROPIC
    told = "The answer; with `stream` as server-sent events." if streams else "The answer."
    return Described(
        "POST",
        path,
        "Anthropic" if anthropic else "OpenAI",
        summary,
        Answer(told, answer, ("application/json", SSE) if streams else ("application/json",), FACTS),
        errors,
        tuple(529 if anthropic and status == 503 else status for status in _STATUSES),
        _PUBLISH,
        body,
        parameters=_ASKING,
    )


TABLE = (
    _asking("/v1/chat/completions", "Asks for the next message of a conversation.", "ChatCompletionRequest", "ChatCompletion"),
    _asking("/v1/completions", "Asks to go on with a text.", "CompletionRequest", "Completion"),
    _asking("/v1/embeddings", "Asks for vectors of texts.", "EmbeddingsRequest", "Embeddings", streams=False),
    _asking("/v1/responses", "Asks with items: text, images, function tools.", "ResponsesRequest", "Response"),
    Described(
        "GET",
        "/v1/models",
        "OpenAI",
        "Lists what `model` may name.",
        Answer(
            "`auto`, and every deployment and model; in Anthropic's shape for clients that send `anthropic-version`.", "Models"
        ),
        Errors.OPENAI,
        roles=_EITHER,
    ),
    Described(
        "GET",
        "/v1/models/{model}",
        "OpenAI",
        "One model.",
        Answer("It is there.", "Model"),
        Errors.OPENAI,
        (404,),
        _EITHER,
        examples={"model": "auto"},
    ),
    _asking("/v1/messages", "Asks for the next message.", "MessagesRequest", "Message", errors=Errors.ANTHROPIC),
    Described(
        "POST",
        "/v1/messages/count_tokens",
        "Anthropic",
        "Estimates what a request would put in; nothing is published.",
        Answer("The estimate.", "TokenCount"),
        Errors.ANTHROPIC,
        (404,),
        _PUBLISH,
        "CountTokensRequest",
    ),
    Described(
        "POST",
        "/v1/requests",
        "Native",
        "Publishes a request.",
        Answer("It stands in the log.", "Accepted", headers=("location",)),
        Errors.NATIVE,
        (409, 422, 503, 504),
        _PUBLISH,
        "NativeRequest",
        parameters=(
            *_ASKING,
            Parameter("Prefer", "`wait=n` waits n seconds for the final response.", {"type": "string"}, "header"),
        ),
        status=202,
        others={200: Answer("The final response, whatever its status.", "InferenceResponse", headers=FACTS)},
    ),
    Described(
        "GET",
        "/v1/requests/{request_id}",
        "Native",
        "What became of a request: status, response, cost, and every record of it.",
        Answer("The request.", "RequestShown"),
        Errors.NATIVE,
        (404, 503),
        _EITHER,
    ),
    Described(
        "GET",
        "/v1/requests/{request_id}/events",
        "Native",
        "A request's chunks and its end, from the beginning or after an event, and then live.",
        Answer("`chunk`, `void`, `completed` and `error` events.", {"type": "string"}, (SSE,)),
        Errors.NATIVE,
        (400, 404, 503),
        _EITHER,
        parameters=(Parameter("Last-Event-ID", "The last event that was read.", {"type": "string"}, "header"),),
        others={204: Answer("The end was read already.")},
    ),
    Described(
        "POST",
        "/v1/requests/{request_id}/cancel",
        "Native",
        "Cancels a request that is not answered yet; its call, once begun, is billed.",
        Answer("It is asked for.", {"type": "object"}),
        Errors.NATIVE,
        (404, 409, 503),
        _PUBLISH,
        status=202,
        others={200: Answer("What became of it.", {"type": "object"})},
    ),
)
