#!/usr/bin/env python3
"""Asks three questions at once, streams a fourth, and shows what each of them cost: a tour of `streams.client`.

Start a stack with `penstock up`, then run this in the same directory; or name your Kafka with PENSTOCK_BOOTSTRAP_SERVERS.
"""

import asyncio
from contextlib import aclosing
from datetime import UTC, datetime

from schemas.ledger import CostEvent
from schemas.outcomes import InferenceResponse, ResponseChunk
from streams.client import Penstock, Voided

QUESTIONS = ("Why is the sky blue?", "What is a penstock?", "How deep is Lake Baikal?")


def asked(question: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": question}]


async def ask(client: Penstock, question: str) -> str:
    """Print how it went; the request_id."""
    response = await client.ask(messages=asked(question), timeout_s=60)
    words = len((response.output.content or "").split()) if response.output else 0
    print(f"{question} {response.status}, {words} words by {response.deployment or 'the cache'}")
    return response.request_id


async def tell(client: Penstock, question: str) -> str:
    """Count the chunks of an answer as they come; the request_id."""
    chunks = 0
    async with aclosing(client.stream(messages=asked(question), timeout_s=60)) as pieces:
        async for piece in pieces:
            match piece:
                case ResponseChunk():
                    chunks += 1
                case Voided():
                    chunks = 0
                case InferenceResponse():
                    print(f"{question} {piece.status}, in {chunks} chunks")
                    return piece.request_id
    raise AssertionError("a stream ends with the final response")


async def main() -> None:
    began = datetime.now(UTC)
    async with Penstock(tenant="tour") as client:
        ours = set(await asyncio.gather(*(ask(client, question) for question in QUESTIONS), tell(client, "Tell me a story.")))
        async with client.consume("ai.costs", group=None, from_=began) as costs:
            async for record in costs:
                if isinstance(record.value, CostEvent) and record.value.request_id in ours:
                    ours.remove(record.value.request_id)
                    print(f"{record.value.kind} {record.value.deployment}: {record.value.cost_nanousd} nano-dollars")
                if not ours:
                    return


if __name__ == "__main__":
    asyncio.run(main())
