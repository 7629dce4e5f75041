"""Our final responses in OpenAI's shapes: chat completions, completions, embeddings; whole.

Source of the shapes: OpenAI's API reference, "Chat", "Completions", "Embeddings"; `openai.types` of its SDK.
"""

import base64
import struct
from typing import Any

from processors.api.finish import finish_of
from processors.api.named import Named
from schemas.calls import Output, Usage
from schemas.outcomes import InferenceResponse
from schemas.requests import Operation, ToolCall


def completion(response: InferenceResponse, named: Named) -> dict[str, Any]:
    """The body of a whole answer, after what was asked for: a chat completion, a completion or embeddings."""
    output = response.output or Output()
    model = response.response_model or named.model
    if response.operation is Operation.EMBEDDINGS:
        vectors = [{"object": "embedding", "index": i, "embedding": list(vector)} for i, vector in enumerate(output.embeddings)]
        counted = response.usage.input_tokens if response.usage else 0
        return {"object": "list", "data": vectors, "model": model, "usage": {"prompt_tokens": counted, "total_tokens": counted}}
    head = {"id": named.request_id, "created": named.created_s, "model": model, "usage": usage_of(response.usage)}
    if response.operation is Operation.TEXT_COMPLETION:
        choice = {"index": 0, "text": output.content or "", "logprobs": None, "finish_reason": text_finish(output)}
        return {**head, "object": "text_completion", "choices": [choice]}
    choice = {"index": 0, "message": message_of(output), "logprobs": None, "finish_reason": finish_of(output)}
    return {**head, "object": "chat.completion", "choices": [choice]}


def text_finish(output: Output) -> str:
    """A text completion's finish reason: it can call no tools."""
    finish = finish_of(output)
    return "stop" if finish == "tool_calls" else finish


def as_base64(body: dict[str, Any]) -> dict[str, Any]:
    """Embeddings as the SDKs ask for them by default: little-endian 32-bit floats in base64."""
    packed = [
        {**each, "embedding": base64.b64encode(struct.pack(f"<{len(each['embedding'])}f", *each["embedding"])).decode()}
        for each in body["data"]
    ]
    return {**body, "data": packed}


def message_of(output: Output) -> dict[str, Any]:
    """What the assistant said, as a chat message."""
    message: dict[str, Any] = {"role": "assistant", "content": output.content, "refusal": output.refusal}
    if output.reasoning:
        message["reasoning_content"] = output.reasoning
    if output.tool_calls:
        message["tool_calls"] = [tool_call(call) for call in output.tool_calls]
    return message


def tool_call(call: ToolCall) -> dict[str, Any]:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments_json}}


def usage_of(usage: Usage | None) -> dict[str, Any] | None:
    """Token counts as OpenAI gives them: cached input and reasoning are parts of the sums, as in ours."""
    if usage is None:
        return None
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
        "prompt_tokens_details": {
            "cached_tokens": usage.cache_read_input_tokens,
            "cache_write_tokens": usage.cache_write_input_tokens,
        },
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
    }
