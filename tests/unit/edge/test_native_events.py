"""What a reader is told of chunks and ends: in order, once, and with every failed call's chunks void."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import dropwhile

import pytest

from processors.api.native_events import END, Event, Place, Telling
from schemas.outcomes import CacheState, ResponseChunk, ResponseStatus
from schemas.requests import InferenceRequest
from tests.unit.edge.native_log import final

T0 = datetime(2026, 1, 31, tzinfo=UTC)
REQUEST = InferenceRequest("r", "acme", "auto", stream=True)


def piece(call: str, seq: int, *, last: bool = False) -> ResponseChunk:
    at = T0 + timedelta(milliseconds=20 * seq)
    return ResponseChunk("r", "acme", call, attempt=1, seq=seq, emitted_at=at, content=f"{call}{seq}", last=last)


def told(telling: Telling, *pieces: ResponseChunk) -> list[str]:
    return [short(event) for each in pieces for event in telling.on_chunk(each)]


def short(event: Event) -> str:
    if event.name == "chunk":
        return str(event.data["content"])
    return f"{event.name} {event.data['call_id']}" if event.name == "void" else event.name


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        pytest.param([("a", 0), ("a", 1)], ["a0", "a1"], id="in order"),
        pytest.param([("a", 0), ("a", 0), ("a", 1), ("a", 0)], ["a0", "a1"], id="twice"),
        pytest.param([("a", 0), ("a", 2)], ["a0", "a2"], id="a lost one shows in seq"),
        pytest.param([("a", 0), ("b", 0), ("b", 1)], ["a0", "void a", "b0", "b1"], id="another call"),
        pytest.param([("a", 0), ("b", 0), ("a", 1), ("b", 1)], ["a0", "void a", "b0", "b1"], id="two calls at once"),
        pytest.param([("a", 0), ("b", 0), ("c", 0)], ["a0", "void a", "b0", "void b", "c0"], id="three calls"),
        pytest.param([("a", 3)], [], id="begins in the middle"),
        pytest.param([("a", 0), ("b", 1)], ["a0"], id="the rest of an older call"),
    ],
)
def test_chunks(pieces, expected) -> None:
    assert told(Telling(), *(piece(*each) for each in pieces)) == expected


@pytest.mark.parametrize("read", range(6))
def test_a_reader_goes_on_after_any_event(read: int) -> None:
    """From an event's id alone, over the same log, another process tells exactly what is missing."""
    pieces = [piece("a", 0), piece("a", 1), piece("b", 0), piece("b", 1, last=True)]
    end = final(REQUEST, call_id="b")

    def all_of(telling: Telling) -> list[Event]:
        return [event for each in pieces for event in telling.on_chunk(each)] + list(telling.on_final(end))

    whole = all_of(Telling())
    assert [short(event) for event in whole] == ["a0", "a1", "void a", "b0", "b1", "completed"]
    if read < len(whole) - 1:
        place = Place.of(whole[read].id)
        assert place is not None
        pieces = list(dropwhile(lambda each: each.emitted_at.timestamp() * 1e6 < place.sent_us - 1, pieces))
        assert all_of(Telling(place)) == whole[read + 1 :]
    else:
        assert whole[read].id == END


def test_an_end_by_a_call_that_was_not_told_voids_what_was() -> None:
    telling = Telling()
    told(telling, piece("a", 0))
    assert [short(event) for event in telling.on_final(final(REQUEST, call_id="b"))] == ["void a", "completed"]
    assert [short(event) for event in Telling().on_final(final(REQUEST, call_id="b"))] == ["completed"]


def test_an_end_without_a_call_voids_too() -> None:
    telling = Telling()
    told(telling, piece("a", 0))
    error = final(REQUEST, call_id=None, status=ResponseStatus.ERROR, output=None)
    assert [short(event) for event in telling.on_final(error)] == ["void a", "completed"]


def test_the_end_waits_for_the_chunks_of_the_call_that_answered() -> None:
    telling, end = Telling(), final(REQUEST, call_id="a")
    assert telling.lacks(end)
    told(telling, piece("a", 0))
    assert telling.lacks(end)
    told(telling, piece("a", 1, last=True))
    assert not telling.lacks(end)
    assert telling.lacks(replace(end, call_id="b"))
    for none_follow in (
        replace(end, call_id=None),
        replace(end, call_id="b", cache=CacheState.HIT),
        replace(end, call_id="b", status=ResponseStatus.ERROR),
    ):
        assert not telling.lacks(none_follow)


@pytest.mark.parametrize("text", ["", "nonsense", "1.2", "1.2.", "x.2.c", "1.x.c", "end"])
def test_what_is_no_place(text: str) -> None:
    assert Place.of(text) is None


def test_a_call_id_may_hold_anything_that_stands_in_a_line() -> None:
    place = Place(7, -1, "a.b-c")
    assert Place.of(str(place)) == place
