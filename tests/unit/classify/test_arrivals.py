"""A batch of records: what makes classification fail is refused alone, and the others are routed."""

from datetime import UTC, datetime
from types import SimpleNamespace

from schemas.requests import InferenceRequest, Message
from schemas.serde import schema_id_of
from streams.agents.arrivals import DEFECT, Arrivals, Known, Refused
from streams.embedding.wordllama import WordLlama

NOW = datetime(2026, 6, 1, tzinfo=UTC)
RAW = b"\x00\x00\x00\x00\x01body"


class Choking:
    """An embedder that cannot take one text."""

    def __init__(self) -> None:
        self._good = WordLlama()
        self.name, self.dimensions = self._good.name, self._good.dimensions

    def embed(self, texts):
        if any("poison" in text for text in texts):
            raise FloatingPointError("poison")
        return self._good.embed(texts)


def arrivals(embedder, **more: object) -> Arrivals:
    codec = SimpleNamespace(decode=lambda value: value.request, write_id=schema_id_of(RAW))
    serde = SimpleNamespace(of=lambda _: codec)
    return Arrivals(SimpleNamespace(serde=serde, lane_of=lambda tenant, _: tenant), embedder, **more)


class Value(bytes):
    request: InferenceRequest


def record(offset: int, text: str):
    value = Value(RAW)
    value.request = InferenceRequest(f"r{offset}", "t", "auto", messages=(Message("user", text),))
    return SimpleNamespace(
        value=value, key=b"t", topic="ai.requests", partition=0, offset=offset, timestamp_ms=int(NOW.timestamp() * 1_000)
    )


def test_only_what_makes_the_embedder_fail_is_refused():
    read = arrivals(Choking()).read([record(0, "hello"), record(1, "poison"), record(2, "What is 2 + 2?")], now=NOW)
    assert [type(item) for item in read] == [Known, Refused, Known]
    refused = read[1]
    assert isinstance(refused, Refused)
    assert (refused.reason, refused.request_id) == (DEFECT, "r1")
    assert [item.classified.request.request_id for item in read if isinstance(item, Known)] == ["r0", "r2"]


def test_only_what_makes_the_hook_fail_is_refused():
    def hook(request):
        if request.request_id == "r0":
            raise KeyError("label")
        return ("pii",)

    read = arrivals(WordLlama(), sensitivity=hook).read([record(0, "hello"), record(1, "hello")], now=NOW)
    assert [type(item) for item in read] == [Refused, Known]
    assert isinstance(read[1], Known)
    assert read[1].classified.sensitivity == ("pii",)


def test_no_records_are_no_answers():
    assert arrivals(WordLlama()).read([], now=NOW) == []
