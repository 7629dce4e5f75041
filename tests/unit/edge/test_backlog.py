"""A reader that falls behind costs a bounded queue; what it missed it reads in the log, and nothing comes twice."""

import asyncio
from dataclasses import replace

import pytest

from processors.api.refusals import Refusal
from schemas.requests import InferenceRequest, Message
from streams.edge import events
from streams.edge.events import Backlog, Events
from streams.edge.principal import Refused
from streams.ids import new_id
from tests.unit.edge.native_log import MemoryLog, Process, chunk, final

REQUEST = InferenceRequest("r", "acme", "auto", messages=(Message("user", "Hi"),), stream=True)


def test_what_does_not_fit_is_forgotten_and_said() -> None:
    backlog = Backlog()
    for seq in range(events.QUEUED + 10):
        backlog.put_nowait(chunk(REQUEST, seq))
    assert backlog.lagged
    assert backlog.qsize() == events.QUEUED
    end = final(REQUEST)
    backlog.put_nowait(end)
    assert backlog.drain() is end
    assert (backlog.lagged, backlog.empty()) == (False, True)


async def test_a_slow_reader_of_a_live_stream_gets_it_all() -> None:
    log = MemoryLog()
    process = Process(log)
    made = replace(REQUEST, request_id=new_id("req"))
    with process.asking.waiting(made) as waiting:
        await process.asking.publish(made, waiting, {})
    reading = Events(process.door, process.lineages, log)._events("acme", made.request_id, None)  # type: ignore[arg-type]
    text = (await anext(reading)).decode()
    first = asyncio.create_task(anext(reading))
    await asyncio.sleep(0)
    count = 3 * events.QUEUED
    log.tell(chunk(made, 0, "x"))
    text += (await first).decode()
    for seq in range(1, count):
        log.tell(chunk(made, seq, "x", last=seq == count - 1))
    log.tell(final(made, "x" * count))
    async for framed in reading:
        text += framed.decode()
    seqs = [int(line.partition('"seq":')[2].partition(",")[0]) for line in text.splitlines() if '"seq":' in line]
    assert seqs == list(range(count))
    assert text.count("event: completed") == 1


async def test_an_end_that_overtakes_its_chunks_waits_for_them() -> None:
    log = MemoryLog()
    process = Process(log)
    made = replace(REQUEST, request_id=new_id("req"))
    with process.asking.waiting(made) as waiting:
        await process.asking.publish(made, waiting, {})
    reading = Events(process.door, process.lineages, log)._events("acme", made.request_id, None)  # type: ignore[arg-type]
    await anext(reading)
    following = asyncio.create_task(anext(reading))
    await asyncio.sleep(0)
    log.tell(final(made))
    log.tell(chunk(made, 0, "The Rhine.", last=True))
    assert (await following).startswith(b"event: chunk")
    assert (await anext(reading)).startswith(b"event: completed")


async def test_a_stream_ends_when_its_key_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "_MAY_EVERY_S", 0.0)
    log = MemoryLog()
    process = Process(log)
    made = replace(REQUEST, request_id=new_id("req"))
    with process.asking.waiting(made) as waiting:
        await process.asking.publish(made, waiting, {})
    log.tell(chunk(made, 0, "secret"))

    def may() -> None:
        raise Refused(Refusal(401, "invalid_api_key", "revoked"))

    reading = Events(process.door, process.lineages, log)  # type: ignore[arg-type]
    response = await reading.response("acme", made.request_id, None, may)
    told = [bytes(framed) async for framed in response.body_iterator]
    assert b"secret" not in b"".join(told)
    assert told[-1].startswith(b"event: error\ndata: {")
