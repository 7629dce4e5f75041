"""What a reader of a stream is told: in order, once, and voided where it is not the whole answer."""

from datetime import UTC, datetime

import pytest

from schemas.outcomes import CacheState, InferenceResponse, ResponseChunk, ResponseStatus
from streams.client.telling import Piece, Telling, Voided

T0 = datetime(2026, 1, 31, tzinfo=UTC)


def piece(call: str, seq: int, *, last: bool = False) -> ResponseChunk:
    return ResponseChunk("r", "acme", call, attempt=1, seq=seq, emitted_at=T0, content=f"{call}{seq}", last=last)


def final(call: str | None = "a", status: ResponseStatus = ResponseStatus.OK, **more: object) -> InferenceResponse:
    fields = {"request_model": "auto", "attempts": 1, "task_kind": "chat", "policy": "p", "received_at": T0, "answered_at": T0}
    return InferenceResponse("r", "acme", True, status, **fields, call_id=call, **more)


def short(told: Piece) -> str:
    if isinstance(told, ResponseChunk):
        return str(told.content)
    return f"void {told.call_id}" if isinstance(told, Voided) else "final"


def told(telling: Telling, *pieces: tuple) -> list[str]:
    found = [each for args in pieces for each in telling.on_chunk(piece(*args[:2], last=len(args) > 2))]
    return [short(each) for each in found]


@pytest.mark.parametrize(
    ("pieces", "expected", "end"),
    [
        pytest.param([("a", 0), ("a", 1, "last")], ["a0", "a1"], ["final"], id="in order"),
        pytest.param([("a", 0), ("a", 0), ("a", 1, "last"), ("a", 0)], ["a0", "a1"], ["final"], id="twice"),
        pytest.param([("a", 0), ("a", 2, "last")], ["a0"], ["void a", "final"], id="one is lost"),
        pytest.param([("a", 0), ("a", 2), ("a", 1), ("a", 2, "last")], ["a0"], ["void a", "final"], id="nothing after a gap"),
        pytest.param([("a", 0)], ["a0"], ["void a", "final"], id="the last is lost"),
        pytest.param([("a", 1), ("a", 2, "last")], [], ["final"], id="begins in the middle"),
        pytest.param([], [], ["final"], id="no chunk"),
        pytest.param([("b", 0), ("a", 0, "last")], ["b0", "void b", "a0"], ["final"], id="another call"),
        pytest.param([("b", 0), ("a", 0), ("b", 1), ("a", 1, "last")], ["b0", "void b", "a0", "a1"], ["final"], id="two at once"),
        pytest.param([("a", 0, "last"), ("b", 0)], ["a0", "void a", "b0"], ["void b", "final"], id="the earlier one answers"),
        pytest.param([("c", 0), ("b", 0), ("a", 0, "last")], ["c0", "void c", "b0", "void b", "a0"], ["final"], id="three calls"),
    ],
)
def test_chunks_and_the_end(pieces: list[tuple], expected: list[str], end: list[str]) -> None:
    telling = Telling()
    assert told(telling, *pieces) == expected
    assert [short(each) for each in telling.on_final(final("a"))] == end


def test_a_failed_request_voids_all() -> None:
    telling = Telling()
    told(telling, ("a", 0, "last"))
    assert [short(each) for each in telling.on_final(final(None, ResponseStatus.EXPIRED))] == ["void a", "final"]


@pytest.mark.parametrize(
    ("pieces", "response", "lacks"),
    [
        ([], final("a"), True),
        ([("a", 0)], final("a"), True),
        ([("a", 0, "last")], final("a"), False),
        ([("a", 0), ("a", 2)], final("a"), False),
        ([("b", 0)], final("a"), True),
        ([("a", 0), ("b", 0)], final("a"), False),
        ([], final("a", cache=CacheState.HIT), False),
        ([], final(None, ResponseStatus.EXPIRED), False),
    ],
    ids=["none yet", "more to come", "whole", "a gap", "another call's", "void already", "from the cache", "no answer"],
)
def test_chunks_are_waited_for_only_where_they_may_come(pieces: list[tuple], response: InferenceResponse, lacks: bool) -> None:
    telling = Telling()
    told(telling, *pieces)
    assert telling.lacks(response) is lacks
