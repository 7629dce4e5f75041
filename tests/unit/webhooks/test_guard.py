"""Whether a URL may be called now: every address of its host counts, whenever it is asked."""

import asyncio
import socket
from collections.abc import Sequence

import pytest

from processors.webhooks.target import Unusable
from streams.settings import Settings
from streams.webhooks.guard import Allowed, Guard, Resolver, guard_of


class Names:
    """A resolver whose answers may change from one question to the next."""

    def __init__(self, *answers: Sequence[str] | Exception) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, int]] = []

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append((host, port))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


def guard(*answers: Sequence[str] | Exception, insecure_local: bool = False) -> Guard:
    return Guard(frozenset({443}), insecure_local, Names(*answers))


async def reason(guarding: Guard, url: str = "https://hooks.example.org/") -> str:
    judged = await guarding.judge(url)
    return judged.reason if isinstance(judged, Unusable) else ""


async def test_a_public_host_is_called_at_the_addresses_that_were_judged() -> None:
    judged = await guard(["93.184.215.14", "2606:4700::1111", "93.184.215.14"]).judge("https://hooks.example.org/")
    assert isinstance(judged, Allowed)
    assert judged.addresses == ("93.184.215.14", "2606:4700::1111")
    assert judged.target.host == "hooks.example.org"


@pytest.mark.parametrize("bad", ["127.0.0.1", "10.1.2.3", "169.254.169.254", "100.64.0.1", "::1", "::ffff:8.8.8.8", "64:ff9b::1"])
async def test_one_bad_address_is_enough_wherever_it_stands(bad: str) -> None:
    for answer in ([bad], [bad, "93.184.215.14"], ["93.184.215.14", "1.1.1.1", bad]):
        told = await reason(guard(answer))
        assert "may not be called" in told
        assert bad not in told, "what a name resolves to inside is nobody's business outside"


async def test_a_host_that_changes_its_mind_is_judged_again() -> None:
    guarding = guard(["93.184.215.14"], ["169.254.169.254"])
    assert await reason(guarding) == ""
    assert "link-local" in await reason(guarding)


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(socket.gaierror(-2, "unknown"), id="unknown"),
        pytest.param(UnicodeError("label too long"), id="no name"),
        pytest.param([], id="no address"),
        pytest.param(["93.184.215.14"] + [f"93.184.215.{n}" for n in range(20, 40)], id="too many addresses"),
        pytest.param(["not an address"], id="nonsense"),
    ],
)
async def test_a_host_without_usable_addresses_is_not_called(answer: list[str] | Exception) -> None:
    assert await reason(guard(answer))


async def test_a_resolver_that_does_not_answer_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.webhooks.guard._RESOLVED_WITHIN_S", 0.05)

    async def never(host: str, port: int) -> Sequence[str]:
        await asyncio.Event().wait()
        return []

    assert "in time" in await reason(Guard(frozenset({443}), False, never))


async def test_what_its_text_forbids_is_not_even_resolved() -> None:
    guarding = guard(["93.184.215.14"])
    assert await reason(guarding, "https://hooks.example.org:22/")
    assert await reason(guarding, "http://hooks.example.org/")
    assert isinstance(guarding.resolve, Names)
    assert guarding.resolve.asked == []


async def test_plain_http_reaches_loopback_and_nothing_else() -> None:
    assert await reason(guard(["127.0.0.1"], insecure_local=True), "http://localhost:9999/") == ""
    assert await reason(guard(["::1"], insecure_local=True), "http://localhost:9999/") == ""
    for answer in (["93.184.215.14"], ["10.0.0.1"], ["127.0.0.1", "10.0.0.1"], ["0.0.0.0"], ["::ffff:127.0.0.1"]):
        assert "loopback" in await reason(guard(answer, insecure_local=True), "http://localhost:9999/")


async def test_the_setting_for_local_http_opens_https_to_nobody() -> None:
    assert await reason(guard(["127.0.0.1"], insecure_local=True), "https://localhost/")


async def test_the_settings_say_which_ports() -> None:
    guarding = guard_of(Settings(_env_file=None, webhooks_ports="443,8443"), Names(["93.184.215.14"]))
    assert await reason(guarding, "https://hooks.example.org:8443/") == ""
    assert await reason(guarding, "https://hooks.example.org:9443/")
    assert not guarding.insecure_local


async def test_the_systems_resolver_knows_this_machine_in_all_its_spellings() -> None:
    resolver = Resolver()
    try:
        for host in ("localhost", "127.0.0.1", "2130706433", "127.1"):
            assert set(await resolver(host, 443)) <= {"127.0.0.1", "::1"}, host
    finally:
        resolver.close()
