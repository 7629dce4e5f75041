"""Tasks that watch while a case runs."""

import asyncio


async def end(task: "asyncio.Task[None]") -> None:
    """Cancel a task that runs for ever; raises what it failed with before."""
    task.cancel()
    await asyncio.wait({task})
    if not task.cancelled():
        task.result()
