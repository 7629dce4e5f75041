"""Calls to translate, made short."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from processors.providers.contract import ProviderCall
from schemas.calls import CallOrdered
from schemas.requests import InferenceRequest, Message, Operation

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


def order(operation: Operation = Operation.CHAT, **fields: Any) -> CallOrdered:
    made = CallOrdered(
        request_id="r1",
        attempt=1,
        tenant="acme",
        lane="acme",
        deployment="p/m",
        provider="p",
        model="m",
        operation=operation,
        request=b"",
        input_tokens_estimate=20,
        output_tokens_bound=100,
        stream=False,
        timeout_ms=30_000,
        ordered_at=NOW,
        deadline=NOW + timedelta(seconds=60),
    )
    return replace(made, **fields)


def request(operation: Operation = Operation.CHAT, **fields: Any) -> InferenceRequest:
    made = InferenceRequest("r1", "acme", "auto", operation=operation)
    if operation is Operation.CHAT and "messages" not in fields:
        made = replace(made, messages=(Message("user", "Hello"),))
    elif operation in {Operation.EMBEDDINGS, Operation.TEXT_COMPLETION, Operation.CLASSIFICATION} and "input" not in fields:
        made = replace(made, input=("Hello",))
    if operation is Operation.CLASSIFICATION and "labels" not in fields:
        made = replace(made, labels=("spam", "ham"))
    return replace(made, **fields)


def call(operation: Operation = Operation.CHAT, *, model: str = "m", bound: int = 100, **fields: Any) -> ProviderCall:
    return ProviderCall("c1", order(operation, model=model, output_tokens_bound=bound), request(operation, **fields))
