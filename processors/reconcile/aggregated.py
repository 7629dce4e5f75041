"""Reads the sums that the providers' usage reports give: a time bucket, by model where it was asked for."""

from collections.abc import Iterator
from typing import Any

from processors.providers.usage import count
from processors.reconcile.formats import Shape
from processors.reconcile.lines import Bucket, Told
from processors.reconcile.per_call import iso_us
from schemas.errors import SettingsError


def read(shape: Shape, item: dict[str, Any], provider: str, where: str) -> Iterator[Bucket]:
    """One bucket a result. Raises SettingsError when a time or a count is missing."""
    start_us, end_us = _times(shape, item)
    if start_us is None or end_us is None:
        raise SettingsError(f"{where} is a bucket without its times; export the whole response, not a part of it")
    for result in item["results"]:
        told = (openai if shape is Shape.OPENAI_USAGE else anthropic)(result) if isinstance(result, dict) else None
        if told is None or min(told.input_tokens, told.output_tokens) < 0:
            raise SettingsError(f"{where} has a result without token counts; export usage, not costs")
        yield Bucket(provider, result.get("model"), start_us, end_us, told, count(result.get("num_model_requests")))


def openai(result: dict[str, Any]) -> Told | None:
    """`input_tokens` of OpenAI's report include cached and cache-write tokens. Embeddings have no output."""
    sent = count(result.get("input_tokens"))
    if sent is None:
        return None
    return Told(
        sent,
        count(result.get("output_tokens")) or 0,
        count(result.get("input_cached_tokens")),
        count(result.get("input_cache_write_tokens")),
    )


def anthropic(result: dict[str, Any]) -> Told | None:
    """Anthropic's report tells plain, read and written input apart, the written by how long it is kept."""
    plain, made = count(result.get("uncached_input_tokens")), count(result.get("output_tokens"))
    if plain is None or made is None:
        return None
    read = count(result.get("cache_read_input_tokens")) or 0
    creation = result.get("cache_creation")
    kept = creation if isinstance(creation, dict) else {}
    write = sum(count(kept.get(name)) or 0 for name in ("ephemeral_1h_input_tokens", "ephemeral_5m_input_tokens"))
    return Told(plain + read + write, made, read, write)


def _times(shape: Shape, item: dict[str, Any]) -> tuple[int | None, int | None]:
    if shape is Shape.OPENAI_USAGE:
        start, end = count(item.get("start_time")), count(item.get("end_time"))
        return None if start is None else start * 1_000_000, None if end is None else end * 1_000_000
    return iso_us(str(item.get("starting_at"))), iso_us(str(item.get("ending_at")))
