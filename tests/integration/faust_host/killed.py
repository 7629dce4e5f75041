"""A process to be killed: handles numbered records concurrently and notes each in a file once it is done.

`python -m tests.integration.faust_host.killed stock|ours BOOTSTRAP GROUP TOPIC NOTES STUCK`: record number STUCK is never done.
"""

import asyncio
import os
import random
import sys
from pathlib import Path
from typing import Any

import faust

from tests.integration.faust_host.rig import Rig


async def main(kind: str, bootstrap_servers: str, *names: str) -> None:
    group, topic, notes, stuck = names
    tasks: set[asyncio.Task[None]] = set()
    with Path(notes).open("ab", buffering=0) as file:  # noqa: ASYNC230 - a note must be on disk before the acknowledgement

        async def handle(event: Any) -> None:
            await asyncio.sleep(random.uniform(0, 0.02) if event.value != stuck.encode() else 3600)
            file.write(event.value + b"\n")
            os.fsync(file.fileno())
            event.ack()

        def declare(app: faust.App) -> None:
            @app.agent(app.topic(topic), name="a")
            async def agent(stream: Any) -> None:
                async for event in stream.noack().events():
                    task = asyncio.create_task(handle(event))
                    tasks.add(task)
                    task.add_done_callback(tasks.discard)

        async with Rig(bootstrap_servers, stock=kind == "stock") as rig, rig.app(declare, group):
            await asyncio.sleep(3600)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
