"""The Python client against a running stack: asked, streamed, published, sent again; and its documentation, run."""

import asyncio
import re
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from schemas.errors import SettingsError
from schemas.ledger import CostKind
from schemas.outcomes import InferenceResponse, ResponseChunk, ResponseStatus
from schemas.requests import InferenceRequest, Operation
from streams.client import NoAnswer, Penstock, Piece, SentAgain, Voided
from streams.client.inbox import Closed
from tests.contract.documentation import Block, blocks
from tests.integration.cli.command import environment
from tests.integration.edge.conftest import Edge
from tests.integration.edge.test_events import simulated

pytestmark = [pytest.mark.stack, pytest.mark.timeout(240)]

ROOT = Path(__file__).parents[3]


@pytest.fixture
async def client(edge: Edge) -> AsyncIterator[Penstock]:
    async with Penstock(data_dir=edge.data_dir, tenant="acme") as client:
        yield client


def question(out: int = 30) -> list[dict[str, str]]:
    return [{"role": "user", "content": f"[[sim in=10 out={out}]] {uuid.uuid4()}"}]


def kept(pieces: list[Piece]) -> dict[str, str]:
    """The text of each call as a reader has it who forgets what is void."""
    said: dict[str, str] = {}
    for piece in pieces:
        if isinstance(piece, ResponseChunk):
            said[piece.call_id] = said.get(piece.call_id, "") + (piece.content or "")
        elif isinstance(piece, Voided):
            del said[piece.call_id]
    return said


async def test_questions_at_once_are_each_answered(edge: Edge, client: Penstock) -> None:
    answers = await asyncio.gather(*(client.ask(messages=question(), timeout_s=60) for _ in range(5)))
    assert {answer.status for answer in answers} == {ResponseStatus.OK}
    assert len({answer.request_id for answer in answers}) == 5
    assert all(answer.final and answer.tenant == "acme" and answer.cost_nanousd for answer in answers)
    with edge.client("acme") as http:
        shown = await asyncio.to_thread(http.get, f"/v1/requests/{answers[0].request_id}")
    assert shown.json()["response"]["output"]["content"] == answers[0].output.content, "the edge finds it by its id"


async def test_a_failure_is_an_answer_too(client: Penstock) -> None:
    answer = await client.ask(messages=question(), model="no-such-model", timeout_s=60)
    assert answer.status is ResponseStatus.ERROR
    assert answer.error.message


async def test_a_stream_is_the_whole_answer_in_order(client: Penstock) -> None:
    pieces = [piece async for piece in client.stream(messages=question(60), cache={"mode": "off"}, timeout_s=60)]
    *chunks, final = pieces
    assert isinstance(final, InferenceResponse)
    assert final.status is ResponseStatus.OK
    assert [chunk.seq for chunk in chunks] == list(range(len(chunks)))
    assert len(chunks) > 1
    assert kept(pieces) == {final.call_id: final.output.content}


async def test_a_call_that_breaks_off_is_voided(edge: Edge, client: Penstock) -> None:
    broken = {"first_token_ms": 10, "per_token_ms": 2, "faults": [{"fault": "eof_mid_body", "rate": 1.0}]}
    with simulated(edge, "openai", broken):
        asked = {"messages": question(60), "preferences": {"providers": ["openai", "anthropic"]}, "timeout_s": 60}
        pieces = [piece async for piece in client.stream(**asked)]
    final = pieces[-1]
    assert final.status is ResponseStatus.OK
    assert final.provider == "anthropic"
    assert any(isinstance(piece, Voided) for piece in pieces)
    assert kept(pieces) == {final.call_id: final.output.content}


async def test_what_is_published_stands_in_the_log(client: Penstock) -> None:
    began = datetime.now(UTC) - timedelta(seconds=1)
    request_id = await client.publish(messages=question(), metadata={"from": "a test"})
    async with asyncio.timeout(30), client.consume("ai.requests", group=None, from_=began) as requests:
        async for record in requests:
            if record.value.request_id == request_id:
                break
    assert record.key == record.value.tenant == "acme"
    assert record.value.metadata == {"from": "a test"}
    assert record.value.deadline is None


async def test_an_id_that_was_used_before(client: Penstock) -> None:
    name, deadline = f"mine-{uuid.uuid4()}", datetime.now(UTC) + timedelta(seconds=60)
    request = InferenceRequest(name, "acme", "auto", operation=Operation.EMBEDDINGS, input=("a",), deadline=deadline)
    first = await client.ask(request)
    assert first.status is ResponseStatus.OK
    with pytest.raises(SentAgain, match="final response stands in") as again:
        await client.ask(request)
    assert again.value.notice.status is ResponseStatus.DUPLICATE
    with pytest.raises(SentAgain) as other:
        await client.ask(request, input=["b"])
    assert other.value.notice.status is ResponseStatus.CONFLICT


async def test_nobody_waits_for_ever(client: Penstock) -> None:
    with pytest.raises(NoAnswer, match="stands in the log") as late:
        await client.ask(messages=question(), deadline=datetime.now(UTC) - timedelta(hours=1))
    assert isinstance(late.value, TimeoutError)
    assert late.value.request.tenant == "acme"


async def test_who_waits_when_the_client_is_closed_is_told(edge: Edge) -> None:
    async with Penstock(data_dir=edge.data_dir) as client:
        with simulated(edge, "openai", {"first_token_ms": 5_000}), simulated(edge, "anthropic", {"first_token_ms": 5_000}):
            asking = asyncio.create_task(client.ask(messages=question(), timeout_s=60))
            await asyncio.sleep(1)
    with pytest.raises(Closed):
        await asking


async def test_a_kafka_that_is_away_is_told_with_the_next_step() -> None:
    with pytest.raises(SettingsError, match="no Kafka answers at"):
        async with Penstock(bootstrap_servers="127.0.0.1:1"):
            raise AssertionError("there is nothing to enter")


# What is documented.


def run(edge: Edge, source: str, *, lines: int | None = None) -> list[str]:
    """What a program prints; with `lines`, it is stopped after so many."""
    variables = environment(PENSTOCK_DATA_DIR=str(edge.data_dir))
    with subprocess.Popen([sys.executable, "-c", source], cwd=edge.data_dir.parent, env=variables, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True) as program:  # fmt: skip
        try:
            if lines is None:
                out, err = program.communicate(timeout=100)
                assert program.returncode == 0, err
                return out.splitlines()
            return [program.stdout.readline().rstrip("\n") for _ in range(lines)]
        finally:
            program.kill()


@pytest.mark.parametrize("block", [b for b in blocks("python") if b.page == "client.md"], ids=str)
def test_the_documentations_examples(edge: Edge, block: Block) -> None:
    endless = block.code.startswith("# Runs until Ctrl-C.")
    if endless:
        edge.penstock("ask", f"[[sim in=5 out=5]] {uuid.uuid4()}", "--no-cache")
    found = run(edge, block.code, lines=1 if endless else None)
    if endless:
        assert re.fullmatch(r"\d+ \d+ \S+ (\d+|None)", found[0])
    else:
        assert found[0].startswith("ok ")


def test_the_tour(edge: Edge) -> None:
    found = run(edge, (ROOT / "examples" / "client.py").read_text())
    assert sum(" ok, " in line for line in found) == 4
    kinds = f"({CostKind.CALL}|{CostKind.CACHE_HIT})"
    assert sum(bool(re.fullmatch(rf"{kinds} \S+: \d+ nano-dollars", line)) for line in found) == 4
    assert len(found) == 8
