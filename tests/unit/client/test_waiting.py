"""What waits for a reader: bounded in chunks, never without room for the response, and never silent about an end."""

import asyncio
from datetime import UTC, datetime

import pytest

from schemas.outcomes import InferenceResponse, ResponseChunk, ResponseStatus
from streams.client.inbox import MAX_UNREAD, MAX_UNREAD_BYTES, Closed, Waiting

T0 = datetime(2026, 1, 31, tzinfo=UTC)
FINAL = InferenceResponse("r", "acme", True, ResponseStatus.OK, "auto", 1, "chat", "p", T0, T0)


def chunk(seq: int) -> ResponseChunk:
    return ResponseChunk("r", "acme", "a", attempt=1, seq=seq, emitted_at=T0)


@pytest.mark.parametrize(("size", "room"), [(100, MAX_UNREAD), (MAX_UNREAD_BYTES // 4, 4)], ids=["by number", "by size"])
async def test_a_reader_that_lags_loses_chunks_and_no_response(size: int, room: int) -> None:
    waiting = Waiting("acme", chunks=True)
    for seq in range(room + 10):
        waiting.put(chunk(seq), size)
    waiting.put(FINAL, 2_000_000)
    found = [await waiting.get() for _ in range(room + 1)]
    assert [each.seq for each in found[:-1]] == list(range(room))
    assert found[-1] is FINAL
    waiting.put(chunk(99), size)
    assert (await waiting.get()).seq == 99, "there is room again"


async def test_who_wants_no_chunks_is_given_none() -> None:
    waiting = Waiting("acme", chunks=False)
    waiting.put(chunk(0), 10)
    waiting.put(FINAL, 10)
    assert await waiting.get() is FINAL


async def test_who_waits_when_the_client_closes_is_told() -> None:
    waiting = Waiting("acme", chunks=False)
    reading = asyncio.create_task(waiting.get())
    await asyncio.sleep(0)
    waiting.fail(Closed())
    with pytest.raises(Closed, match="stands in the log"):
        await reading


async def test_what_came_before_the_end_is_still_given() -> None:
    waiting = Waiting("acme", chunks=False)
    waiting.put(FINAL, 10)
    waiting.fail(Closed())
    assert await waiting.get() is FINAL
