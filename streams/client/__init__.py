"""Penstock from a Python program, over Kafka: publish requests, wait for answers, stream them, read what the topics hold.

    from streams.client import Penstock

    async with Penstock() as client:
        response = await client.ask(messages=[{"role": "user", "content": "Why is the sky blue?"}])

It needs `schemas` and nothing of the pipeline: a program that uses it makes no decisions. docs/client.md has all of it.
"""

from streams.client.consuming import Consumption, Record
from streams.client.errors import NoAnswer, NotAcknowledged, NotCancelled, RecordsGone, SentAgain
from streams.client.penstock import Penstock
from streams.client.telling import Piece, Voided
from streams.decoding import Unreadable

__all__ = [
    "Consumption",
    "NoAnswer",
    "NotAcknowledged",
    "NotCancelled",
    "Penstock",
    "Piece",
    "Record",
    "RecordsGone",
    "SentAgain",
    "Unreadable",
    "Voided",
]
