"""Leaving a consumer group."""

import asyncio
from typing import Any

import structlog

log = structlog.get_logger(__name__)


async def leave(consumer: Any) -> None:
    """Stop the consumer. While the broker is away aiokafka's own tasks end cancelled, and it says so as if we were."""
    try:
        await consumer.stop()
    except asyncio.CancelledError:
        if (task := asyncio.current_task()) is not None and task.cancelling():
            raise
        log.info("group_left_without_word")
