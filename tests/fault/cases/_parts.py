"""Other environments for processes of a running stack: a clock that is wrong, a registry, a newer version of us."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace

from streams.embedded.children import Child, Part
from streams.embedded.parts import Program
from tests.fault.rig import Rig


@asynccontextmanager
async def other_environment(rig: Rig, changes: Mapping[str, Mapping[str, str]]) -> AsyncIterator[None]:
    """Restart parts with variables added, by their name (`intake-0`) or role; in the end all of them have their own again."""
    children = [child for child in all_children(rig) if _changes_of(child, changes)]
    parts = {child.name: child.part for child in children}
    try:
        await asyncio.gather(*(restart(child, _changes_of(child, changes)) for child in children))
        yield
    finally:
        await asyncio.gather(*(_put_back(child, parts[child.name]) for child in children))


@contextmanager
def checker_asks(rig: Rig, registry_url: str) -> Iterator[None]:
    """The checker too gets its schemas from this registry, as one does where others than us write."""
    assembly = rig.stack._assembled
    rig.stack._assembly = replace(assembly, settings=assembly.settings.model_copy(update={"schema_registry_url": registry_url}))
    try:
        yield
    finally:
        rig.stack._assembly = assembly


def teach(rig: Rig, schema_id: int, text: str) -> None:
    """The rig's own reader knows a schema that others write with."""
    for decode in rig.seen._decode.values():
        decode.__self__.catalogue.learn(schema_id, text)  # type: ignore[attr-defined]


async def restart(child: Child, variables: Mapping[str, str]) -> None:
    """An orderly stop of one process, and its start with these variables on top of its own."""
    assert isinstance(child.part, Program)
    await child.stop(grace_s=30.0)
    child.part = replace(child.part, environment={**child.part.environment, **variables})
    await child.start()


async def _put_back(child: Child, part: Part) -> None:
    await child.stop(grace_s=30.0)
    child.part = part
    await child.start()


def all_children(rig: Rig) -> list[Child]:
    return [child for children in rig.stack._children.values() for child in children]


def _changes_of(child: Child, changes: Mapping[str, Mapping[str, str]]) -> Mapping[str, str]:
    return changes.get(child.name) or changes.get(child.name.rpartition("-")[0], {})
