"""Members of the consumer groups: who is in, and processes that leave and come back."""

import asyncio
import time

from aiokafka.admin import AIOKafkaAdminClient

from streams.embedded.children import Child
from tests.fault.rig import Rig

_GRACE_S = 30.0


class Membership:
    """`async with Membership(rig, role)`: how many members the role's group has, sampled while the block runs."""

    def __init__(self, rig: Rig, role: str) -> None:
        self._rig, self._group = rig, rig.stack.settings.group(role)
        self.samples: list[tuple[float, int, str]] = []
        """Unix time, members, state of the group."""

    async def __aenter__(self) -> "Membership":
        self._admin = AIOKafkaAdminClient(bootstrap_servers=self._rig.stack.bootstrap_servers)
        await self._admin.start()
        self._looking = asyncio.create_task(self._look_on(), name="membership")
        return self

    async def __aexit__(self, *_: object) -> None:
        self._looking.cancel()
        await asyncio.gather(self._looking, return_exceptions=True)
        await self._admin.close()

    def fewest(self, since: float) -> int:
        """The smallest number of members of the settled group since then."""
        return min(count for at, count, state in self.samples if at >= since and state == "Stable")

    async def until(self, members: int, *, within_s: float) -> bool:
        """Whether the settled group came to have so many members in time."""
        give_up = time.monotonic() + within_s
        while not self.samples or self.samples[-1][1:] != (members, "Stable"):
            if self._looking.done():
                self._looking.result()
            if time.monotonic() > give_up:
                return False
            await asyncio.sleep(0.1)
        return True

    async def _look_on(self) -> None:
        while True:
            (reply,) = await self._admin.describe_consumer_groups([self._group])
            (_, _, state, _, _, members, *_rest) = reply.groups[0]
            self.samples.append((time.time(), len(members), state))
            await asyncio.sleep(0.2)


async def toggle(rig: Rig, role: str, index: int) -> str:
    """An orderly end of a process that runs, the start of one that does not; what was done."""
    child = _child(rig, role, index)
    if child.process is None:
        await child.start()
        return f"{role} joins"
    await child.stop(grace_s=_GRACE_S)
    return f"{role} leaves"


def _child(rig: Rig, role: str, index: int) -> Child:
    return rig.stack._children[role][index]
