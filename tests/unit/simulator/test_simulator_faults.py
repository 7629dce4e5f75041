"""Faults: how they are written, when they strike, what they do to a reply."""

from collections.abc import Mapping
from pathlib import Path

import orjson
import pytest

from schemas.errors import SettingsError
from streams.simulator.endpoints import resolve
from streams.simulator.exchange import exchange
from streams.simulator.faults import FaultKind, FaultRule, choose, parse
from streams.simulator.profile_text import load, parse_option, profile_as_data, profile_from, with_rule
from streams.simulator.profiles import Latency, Profile, Profiles
from streams.simulator.reply import Ending, Reply

HI = [{"role": "user", "content": "hi"}]
BODIES: Mapping[str, tuple[str, dict[str, object]]] = {
    "openai": ("/v1/chat/completions", {"model": "m", "messages": HI, "stream_options": {"include_usage": True}}),
    "anthropic": ("/v1/messages", {"model": "m", "max_tokens": 99, "messages": HI}),
    "ollama": ("/api/chat", {"model": "m", "messages": HI}),
}


def reply(shape: str = "openai", *, stream: bool = True, fault: str | None = None, profile: Profile | None = None) -> Reply:
    path, body = BODIES[shape]
    endpoint = resolve("POST", path)
    assert endpoint is not None
    headers = {"x-sim-output-tokens": "40"} | ({"x-sim-fault": fault} if fault else {})
    raw = orjson.dumps({**body, "stream": stream})
    return exchange(endpoint, headers, raw, profile=profile or Profile(), call=1, at_s=0, now_s=1e9).reply


@pytest.mark.parametrize("kind", [kind for kind in FaultKind if kind is not FaultKind.HTTP])
def test_every_fault_can_be_written_and_read(kind: FaultKind) -> None:
    assert parse(str(parse(kind.value))) == parse(kind.value)


@pytest.mark.parametrize("text", ["http_503", "http_429:-1", "http_429:1000000000", "http_529:date+30", "slow_body:64"])
def test_arguments_survive_the_round_trip(text: str) -> None:
    assert str(parse(text)) == text


@pytest.mark.parametrize(
    "text", ["", "nope", "http_200", "http_600", "hang:3", "slow_body:0", "slow_body:x", "http_429:", "http_500:a\nb"]
)
def test_what_is_no_fault_is_refused(text: str) -> None:
    with pytest.raises(SettingsError):
        parse(text)


@pytest.mark.parametrize(
    ("rule", "struck"),
    [
        ({"every": 3}, [3, 6, 9]),
        ({"first": 2}, [1, 2]),
        ({"from_s": 4, "to_s": 6}, [4, 5]),
        ({"every": 2, "from_s": 7}, [8, 10]),
        ({"rate": 0.0}, []),
        ({"rate": 1.0}, list(range(1, 11))),
        ({}, list(range(1, 11))),
    ],
)
def test_schedule(rule: dict[str, float], struck: list[int]) -> None:
    rules = [FaultRule(parse("hang"), **rule)]  # type: ignore[arg-type]
    assert [n for n in range(1, 11) if choose(rules, seed=1, call=n, at_s=n)] == struck


def test_a_rate_is_met_and_repeats_with_its_seed() -> None:
    rules = [FaultRule(parse("http_500"), rate=0.2)]

    def struck(seed: int) -> list[int]:
        return [n for n in range(5000) if choose(rules, seed=seed, call=n, at_s=0)]

    assert struck(1) == struck(1)
    assert struck(1) != struck(2)
    assert 900 < len(struck(1)) < 1100


def test_the_first_rule_that_strikes_wins_and_two_rates_are_independent() -> None:
    rules = [FaultRule(parse("http_500"), rate=0.5), FaultRule(parse("hang"), rate=0.5)]
    kinds = [fault.kind if (fault := choose(rules, seed=5, call=n, at_s=0)) else None for n in range(4000)]
    assert 1850 < kinds.count(FaultKind.HTTP) < 2150
    assert 850 < kinds.count(FaultKind.HANG) < 1150


def test_faults_of_the_whole_reply() -> None:
    honest = reply(stream=False)
    half = reply(stream=False, fault="reset_mid_body")
    assert (half.ending, half.declared_bytes, half.body) == (Ending.RESET, len(honest.body), honest.body[: len(honest.body) // 2])
    assert reply(fault="hang").ending is Ending.SILENCE
    assert reply(fault="eof_mid_body").ending is Ending.EARLY_EOF
    assert reply(fault="reset_before_reply").parts == ()
    assert reply(stream=False, fault="slow_body:9").bytes_per_s == 9
    html = reply(fault="html_200")
    assert (html.status, html.content_type, html.streamed) == (200, "text/html; charset=utf-8", False)
    with pytest.raises(orjson.JSONDecodeError):
        orjson.loads(reply(stream=False, fault="malformed_json").body)


@pytest.mark.parametrize("shape", BODIES)
def test_faults_of_a_streams_events(shape: str) -> None:
    honest = reply(shape).parts
    assert [p.data for p in reply(shape, fault="missing_done").parts] == [p.data for p in honest[:-1]]
    assert sorted(p.data for p in reply(shape, fault="reordered_events").parts) == sorted(p.data for p in honest)
    assert [p.data for p in reply(shape, fault="reordered_events").parts] != [p.data for p in honest]
    late = reply(shape, fault="late_content").parts
    moved = [i for i, (a, b) in enumerate(zip(late, honest, strict=True)) if a.data != b.data]
    assert len(moved) == 2
    assert (honest[moved[0]].output_tokens > 0, honest[moved[1]].output_tokens) == (True, 0)
    twice = reply(shape, fault="duplicate_events")
    assert len(twice.parts) == len(honest) + sum(1 for p in honest if p.output_tokens)
    assert sum(p.output_tokens for p in twice.parts) == 40
    torn = reply(shape, fault="truncated_stream")
    assert reply(shape).body.startswith(torn.body)
    assert not torn.body.endswith(b"\n")
    assert reply(shape, fault="crlf").body == reply(shape).body.replace(b"\n", b"\r\n")
    assert b'"error"' in reply(shape, fault="error_event").parts[-1].data


@pytest.mark.parametrize("shape", BODIES)
def test_split_utf8_cuts_inside_a_character_and_loses_nothing(shape: str) -> None:
    parts = reply(shape, fault="split_utf8").parts
    assert b"".join(p.data for p in parts) == reply(shape).body
    assert all(part.apart for part in parts)

    def broken(data: bytes) -> bool:
        try:
            data.decode()
        except UnicodeDecodeError:
            return True
        return False

    assert any(broken(part.data) for part in parts)


@pytest.mark.parametrize(
    ("fault", "usage"),
    [("zero_usage", (0, 0)), ("negative_usage", (-1, -1)), ("absurd_usage", (10**12, 10**12)), ("missing_usage", None)],
)
@pytest.mark.parametrize("stream", [True, False])
def test_lies_about_usage_change_what_is_told_not_what_is_billed(fault: str, usage: tuple[int, int] | None, stream: bool) -> None:
    lying = reply(stream=stream, fault=fault)
    told = [
        (event["usage"]["prompt_tokens"], event["usage"]["completion_tokens"])
        for part in lying.parts
        for text in [part.data.removeprefix(b"data: ")]
        if text.startswith(b"{") and (event := orjson.loads(text)).get("usage")
    ]
    assert told == ([] if usage is None else [usage])
    assert lying.usage.output_tokens == 40
    assert lying.billed(40).output_tokens == 40


@pytest.mark.parametrize(
    ("fault", "stream", "sent", "billed"),
    [
        (None, True, 12, 12),  # the client left: what was generated until then
        (None, False, 0, 40),  # the client left before a reply that was generated whole
        ("hang", True, 0, 40),
        ("http_500", True, 0, 0),
        ("reset_before_reply", False, 0, 0),
        ("html_200", False, 0, 0),
        ("reset_mid_body", False, 40, 40),
    ],
)
def test_billing(fault: str | None, stream: bool, sent: int, billed: int) -> None:
    assert reply(stream=stream, fault=fault).billed(sent).output_tokens == billed


def test_retry_after_forms() -> None:
    def wait(fault: str) -> str | None:
        return dict(reply(fault=fault).headers).get("retry-after")

    assert wait("http_429") == "1"
    assert wait("http_429:1000000000") == "1000000000"
    assert wait("http_429:date+30") == "Sun, 09 Sep 2001 01:47:10 GMT"
    assert wait("http_503") is None


def test_latency_is_spread_over_the_tokens_of_a_stream() -> None:
    profile = Profile(first_token_ms=Latency(100), per_token_ms=Latency(5))
    streamed, whole = reply(profile=profile), reply(stream=False, profile=profile)
    assert sum(p.delay_s for p in streamed.parts) == pytest.approx(0.1 + 40 * 0.005)
    assert streamed.parts[0].delay_s == pytest.approx(0.1)
    assert [p.delay_s for p in whole.parts] == [pytest.approx(0.3)]


def test_log_normal_latency_has_its_median_and_repeats() -> None:
    profile = Profile(first_token_ms=Latency(100, 0.5), seed=3)
    found = sorted(profile.first_token_s(call) for call in range(4001))
    assert found == sorted(profile.first_token_s(call) for call in range(4001))
    assert found[2000] == pytest.approx(0.1, rel=0.05)
    assert found[int(4001 * 0.8413)] == pytest.approx(0.1 * 1.6487, rel=0.08)  # one sigma up


def test_profiles_from_yaml(tmp_path: Path) -> None:
    path = tmp_path / "profiles.yaml"
    path.write_text(
        "seed: 7\ndefault: {first_token_ms: 20}\nproviders:\n  openai:\n    per_token_ms: {median: 2, sigma: 0.3}\n"
        "    faults:\n      - {fault: 'http_429:2', rate: 0.05}\n      - {fault: hang, every: 50}\n"
    )
    profiles = load(path)
    assert profiles.of("google").first_token_ms == Latency(20)
    assert [str(rule.fault) for rule in profiles.of("openai").faults] == ["http_429:2", "hang"]
    assert profiles.of("openai").seed != profiles.of("google").seed != 0
    assert profile_from(profile_as_data(profiles.providers["openai"])) == profiles.providers["openai"]


@pytest.mark.parametrize(
    "text",
    [
        "default: {latency: 3}",
        "default: {first_token_ms: -1}",
        "default: {faults: [{fault: nope}]}",
        "default: {faults: [{fault: hang, rate: 1.5}]}",
        "default: {faults: [{fault: hang, evry: 2}]}",
        "providers: {openai: {faults: [{fault: refused, rate: 0.1}]}}",
        "default: [",
        "- 1",
    ],
)
def test_a_wrong_profile_is_refused_with_the_file_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text(text)
    with pytest.raises(SettingsError, match=r"wrong\.yaml"):
        load(path)


def test_a_missing_profile_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read"):
        load(tmp_path / "none.yaml")


def test_fault_options() -> None:
    provider, rule = parse_option("openai=http_429:date+30@every=10,to_s=60")
    assert (provider, str(rule.fault), rule.every, rule.to_s) == ("openai", "http_429:date+30", 10, 60.0)
    profiles = with_rule(Profiles(default=Profile(first_token_ms=Latency(9))), provider, rule)
    assert profiles.of("openai").faults == (rule,)
    assert profiles.of("openai").first_token_ms == Latency(9)
    assert profiles.of("google").faults == ()
    assert with_rule(profiles, "default", rule).of("google").faults == (rule,)


@pytest.mark.parametrize("text", ["hang", "=hang", "openai=nope", "openai=hang@often=1", "openai=hang@every=x"])
def test_a_wrong_fault_option_is_refused(text: str) -> None:
    with pytest.raises(SettingsError):
        parse_option(text)
