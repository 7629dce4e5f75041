"""Schema ids that other writers bring: learnt once, waited for while the registry is away, refused when nobody knows them."""

import asyncio
from dataclasses import replace

import pytest

from schemas.catalogue import builtin
from schemas.errors import UnknownSchema
from schemas.requests import InferenceRequest
from schemas.serde import HEADER_BYTES, Serde
from streams import topics
from streams.bootstrap import prepare_serde
from streams.newcomers import Newcomers
from streams.settings import Settings
from tests.contract.records import EXAMPLES
from tests.fakes.registry import FakeRegistry, with_field

PROVIDERS = ("openai",)
SUBJECT = f"{topics.REQUESTS}-value"
REQUEST = EXAMPLES["InferenceRequest"]
TEXT = next(s.text for s in builtin().values() if s.name == "InferenceRequest")


def newer(schema_id: int) -> bytes:
    """The example as a version with one more nullable field writes it, the field being null."""
    return b"\x00" + schema_id.to_bytes(4, "big") + Serde().encode(REQUEST)[HEADER_BYTES:] + b"\x00"


def settings_of(registry: FakeRegistry) -> Settings:
    return Settings(_env_file=None, schema_registry_url=registry.url)


async def test_a_version_that_stood_before_the_start_is_known() -> None:
    async with FakeRegistry(PROVIDERS) as registry:
        schema_id = registry.register(SUBJECT, with_field(TEXT, "hint"))
        serde = await prepare_serde(settings_of(registry), PROVIDERS)
        assert serde.of(InferenceRequest).decode(newer(schema_id)) == REQUEST
        assert serde.of(InferenceRequest).write_id != schema_id, "it writes as it is"


async def test_an_id_registered_later_is_learnt_once() -> None:
    async with FakeRegistry(PROVIDERS) as registry:
        settings = settings_of(registry)
        serde = await prepare_serde(settings, PROVIDERS)
        newcomers = Newcomers(serde.catalogue, settings)
        value = newer(registry.register(SUBJECT, with_field(TEXT, "hint")))
        with pytest.raises(UnknownSchema):
            serde.of(InferenceRequest).decode(value)
        registry.asked.clear()
        for _ in range(3):
            await newcomers.meet([value, value, None, b"", b"\x01junk"])
        assert serde.of(InferenceRequest).decode(value) == REQUEST
        assert len(registry.asked) == 1


async def test_an_id_that_is_nobodys_is_asked_about_once() -> None:
    async with FakeRegistry(PROVIDERS) as registry:
        settings = settings_of(registry)
        serde = await prepare_serde(settings, PROVIDERS)
        newcomers = Newcomers(serde.catalogue, settings)
        registry.asked.clear()
        for _ in range(3):
            await newcomers.meet([newer(9_999)])
        assert newcomers.unmet(newer(9_999)) is None
        assert len(registry.asked) == 1
        with pytest.raises(UnknownSchema):
            serde.of(InferenceRequest).decode(newer(9_999))


async def test_a_new_id_waits_until_the_registry_is_back() -> None:
    async with FakeRegistry(PROVIDERS) as registry:
        settings = settings_of(registry)
        serde = await prepare_serde(settings, PROVIDERS)
        newcomers = Newcomers(serde.catalogue, settings)
        value = newer(registry.register(SUBJECT, with_field(TEXT, "hint")))
        await registry.stop()
        met = asyncio.create_task(newcomers.meet([value]))
        await asyncio.sleep(0.5)
        assert not met.done()
        await newcomers.meet([serde.encode(replace(REQUEST, request_id="another"))])
        await registry.start()
        async with asyncio.timeout(30):
            await met
        assert serde.of(InferenceRequest).decode(value) == REQUEST


async def test_without_a_registry_nothing_is_awaited() -> None:
    newcomers = Newcomers(Serde().catalogue, Settings(_env_file=None))
    assert newcomers.unmet(newer(9_999)) is None
    await newcomers.meet([newer(9_999)])
