"""The Python client gives up a request: by its id, over Kafka, in the middle of its call."""

import asyncio
import uuid
from collections.abc import AsyncIterator

import pytest

from schemas.errors import MalformedRecord
from schemas.outcomes import InferenceResponse, ResponseChunk, ResponseStatus
from streams.client import Penstock
from streams.ids import new_id
from tests.integration.edge.conftest import Edge
from tests.integration.edge.test_cancel import DRIPS, HANGS, asked, called, charged, shown_when

pytestmark = [pytest.mark.stack, pytest.mark.timeout(240)]


@pytest.fixture
async def client(edge: Edge) -> AsyncIterator[Penstock]:
    async with Penstock(data_dir=edge.data_dir, tenant="acme") as client:
        yield client


def is_cancelled(response: InferenceResponse) -> bool:
    return response.status is ResponseStatus.ERROR and response.error is not None and response.error.kind == "cancelled"


async def test_a_request_under_way_ends_as_cancelled(edge: Edge, client: Penstock) -> None:
    request_id = new_id("req")
    # The final response comes long before the deadline, or the client raises NoAnswer.
    asking = asyncio.create_task(client.ask(asked(HANGS), request_id=request_id, timeout_s=100))
    with edge.client("acme") as http:
        await asyncio.to_thread(shown_when, http, request_id, called)
        await client.cancel(request_id, tenant="rival")
        await client.cancel(request_id)
        assert is_cancelled(await asking)
        shown = await asyncio.to_thread(shown_when, http, request_id, charged)
    [cost] = [entry["record"] for entry in shown["lineage"] if entry["kind"] == "cost"]
    assert cost["estimated"]


async def test_a_stream_is_cancelled_by_its_reader(client: Penstock) -> None:
    pieces = []
    async for piece in client.stream(asked(DRIPS), cache={"mode": "off"}, timeout_s=100):
        pieces.append(piece)
        if len(pieces) == 1:
            assert isinstance(piece, ResponseChunk)
            await client.cancel(piece.request_id)
    assert is_cancelled(pieces[-1])


async def test_another_tenants_and_an_answered_request_are_left_alone(client: Penstock) -> None:
    theirs = f"theirs-{uuid.uuid4()}"
    await client.cancel(theirs, tenant="rival")
    answer = await client.ask(asked("[[sim in=5 out=5]]"), request_id=theirs, timeout_s=100)
    assert answer.status is ResponseStatus.OK, "it is acme's, whatever rival gives up"
    await client.cancel(theirs)
    with pytest.raises(MalformedRecord, match="request_id"):
        await client.cancel("")
