"""What is counted when a call ends and when a transaction commits, and the endpoint that says so."""

import asyncio
import os
import re
import socket
import sys
import urllib.request
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY

from processors.providers.contract import Completion, Failed
from schemas.calls import Billing, Failure, FailureKind, Output, Usage
from schemas.errors import SettingsError
from schemas.ledger import CostKind
from schemas.outcomes import CacheState, ResponseStatus
from schemas.requests import Operation
from streams.embedded.assembly import Assembler
from streams.embedded.parts import Program
from streams.embedded.plan import StackPlan
from streams.embedded.project import Project
from streams.embedded.spawner import Spawner
from streams.metrics import call_ended, committed, serving
from streams.settings import Settings
from tests.contract.compose import ROOT
from tests.contract.records import EXAMPLES

COST = EXAMPLES["CostEvent"]
RESPONSE = EXAMPLES["InferenceResponse"]
CALL = {"gen_ai_operation_name": "chat", "gen_ai_provider_name": "p", "gen_ai_request_model": "m"}


def value(sample: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(sample, labels) or 0.0


def gained(by: Callable[[], None], sample: str, **labels: str) -> float:
    """By how much one sample grows; all metrics of a process are the same for every test."""
    before = value(sample, **labels)
    by()
    return value(sample, **labels) - before


def ended(outcome: Completion | Failed, latency_ms: int = 1_500) -> Callable[[], None]:
    order = replace(EXAMPLES["CallOrdered"], provider="p", model="m", operation=Operation.CHAT)
    return lambda: call_ended(order, outcome, latency_ms=latency_ms)


def completion(**changes: Any) -> Completion:
    return replace(Completion(Output(content="4"), Usage(input_tokens=100, output_tokens=7)), **changes)


def failed(kind: FailureKind, usage: Usage | None = None) -> Failed:
    return Failed(Failure(kind, "too long", Billing.BILLED), usage)


def test_a_call_that_succeeds_is_counted_under_both_names() -> None:
    assert gained(ended(completion()), "ai_predictions_total", provider="p", model="m", status="success") == 1
    assert gained(ended(completion()), "ai_prediction_duration_seconds_sum", provider="p", model="m") == 1.5
    assert gained(ended(completion()), "gen_ai_client_operation_duration_seconds_sum", **CALL, error_type="") == 1.5
    bucket = "gen_ai_client_operation_duration_seconds_bucket"
    assert gained(ended(completion()), bucket, **CALL, error_type="", le="1.28") == 0
    assert gained(ended(completion()), bucket, **CALL, error_type="", le="2.56") == 1


def test_a_call_that_fails_counts_under_its_kind_and_not_among_the_durations_of_successes() -> None:
    outcome = ended(failed(FailureKind.TIMED_OUT))
    assert gained(outcome, "ai_predictions_total", provider="p", model="m", status="timed_out") == 1
    assert gained(outcome, "gen_ai_client_operation_duration_seconds_count", **CALL, error_type="timed_out") == 1
    assert gained(outcome, "gen_ai_client_operation_duration_seconds_count", **CALL, error_type="") == 0
    assert gained(outcome, "ai_prediction_duration_seconds_count", provider="p", model="m") == 0


@pytest.mark.parametrize(("kind", "count", "tokens"), [("input", 1, 100), ("output", 1, 7)])
def test_tokens_are_counted_whenever_the_provider_told_them(kind: str, count: float, tokens: float) -> None:
    labels = {**CALL, "gen_ai_token_type": kind}
    for outcome in (completion(), failed(FailureKind.CONTEXT_TOO_LONG, completion().usage)):
        assert gained(ended(outcome), "gen_ai_client_token_usage_sum", **labels) == tokens
        assert gained(ended(outcome), "gen_ai_client_token_usage_count", **labels) == count
    assert gained(ended(completion(usage=None)), "gen_ai_client_token_usage_count", **labels) == 0


def test_the_first_token_is_timed_where_there_was_one() -> None:
    name = "gen_ai_client_operation_time_to_first_chunk_seconds"
    assert gained(ended(completion(first_token_ms=250)), f"{name}_sum", **CALL) == 0.25
    assert gained(ended(completion()), f"{name}_count", **CALL) == 0


def test_a_final_response_is_timed_from_its_request_and_a_notice_is_not() -> None:
    late = replace(
        RESPONSE,
        status=ResponseStatus.EXPIRED,
        cache=CacheState.MISS,
        final=True,
        answered_at=RESPONSE.received_at + timedelta(seconds=90),
    )
    labels = {"status": "expired", "cache": "miss"}
    assert gained(lambda: committed([late]), "penstock_request_duration_seconds_sum", **labels) == 90
    notice = replace(late, final=False)
    assert gained(lambda: committed([notice]), "penstock_request_duration_seconds_count", **labels) == 0
    backwards = replace(late, answered_at=late.received_at - timedelta(seconds=5))
    assert gained(lambda: committed([backwards]), "penstock_request_duration_seconds_sum", **labels) == 0


def charged(**changes: Any) -> Callable[[], None]:
    plain = {"kind": CostKind.CALL, "provider": "p", "model": "m", "wasted": False, "estimated": False}
    event = replace(COST, **{**plain, "cost_nanousd": 54_399_000, "avoided_nanousd": None, **changes})
    return lambda: committed([event])


def test_what_was_charged_is_summed_and_what_is_given_back_is_left_out() -> None:
    assert gained(charged(), "penstock_cost_nanousd_total", provider="p", model="m") == 54_399_000
    back = charged(kind=CostKind.ADJUSTED, cost_nanousd=-4)
    assert gained(back, "penstock_cost_nanousd_total", provider="p", model="m") == 0


def test_a_hit_saves_and_does_not_cost() -> None:
    hit = {"kind": CostKind.CACHE_HIT, "cost_nanousd": 0, "avoided_nanousd": 1_000}
    assert gained(charged(**hit), "penstock_avoided_nanousd_total") == 1_000
    assert gained(charged(**hit), "penstock_cost_nanousd_total", provider="p", model="m") == 0
    assert gained(charged(**hit, model="of-unknown-price"), "penstock_cost_events_total", kind="CACHE_HIT", flag="") == 1


@pytest.mark.parametrize(
    ("changes", "flag"),
    [
        ({}, ""),
        ({"estimated": True}, "estimated"),
        ({"wasted": True, "estimated": True}, "wasted"),
        ({"cost_nanousd": None}, "unpriced"),
        # A missing price is for somebody to act upon, whatever else became of the call.
        ({"cost_nanousd": None, "estimated": True}, "unpriced"),
        ({"cost_nanousd": None, "wasted": True}, "unpriced"),
    ],
    ids=str,
)
def test_a_cost_event_counts_under_one_flag(changes: dict[str, Any], flag: str) -> None:
    assert gained(charged(**changes), "penstock_cost_events_total", kind="CALL", flag=flag) == 1


# --- the endpoint -------------------------------------------------------------------------------------------------------


def settings(**changes: Any) -> Settings:
    return Settings(_env_file=None, **changes)


def read(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as reply:
        assert reply.headers["Content-Type"].startswith(CONTENT_TYPE_LATEST.partition(";")[0])
        text: str = reply.read().decode()
        return text


def test_nothing_is_served_unless_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PENSTOCK_METRICS_PORT", raising=False)
    with serving(settings()) as port:
        assert port is None


def test_the_endpoint_shows_calls_and_this_process() -> None:
    ended(completion())()
    with serving(settings(metrics_port=0)) as port:
        assert port
        text = read(port)
    assert 'ai_predictions_total{model="m",provider="p",status="success"}' in text
    assert re.search(r'^gen_ai_client_operation_duration_seconds_bucket\{[^}]*le="81\.92"', text, re.MULTILINE)
    memory = re.search(r'^ai_system_resources\{resource="memory_bytes"\} (\S+)$', text, re.MULTILINE)
    assert memory is not None
    assert float(memory[1]) > 1e6
    assert {'resource="cpu_percent"', 'resource="threads"'} <= set(re.findall(r'resource="\w+"', text))


def test_it_ends_with_the_block_and_can_be_served_again_on_the_same_port() -> None:
    with serving(settings(metrics_port=0)) as port:
        assert port
    with pytest.raises(OSError, match="refused"):
        read(port)
    with serving(settings(metrics_port=port)) as again:
        assert again == port
        assert read(port).count("# TYPE ai_system_resources gauge") == 1


def test_an_error_in_the_block_ends_it_too() -> None:
    with pytest.raises(ZeroDivisionError), serving(settings(metrics_port=0)) as port:
        _ = 1 / 0
    assert port
    with pytest.raises(OSError, match="refused"):
        read(port)


def test_a_port_that_is_taken_is_refused_with_the_variable_and_leaves_nothing() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        for _ in range(2):  # a second try would find the collector of the first
            with (
                pytest.raises(SettingsError, match=rf"127\.0\.0\.1:{port}.*PENSTOCK_METRICS_PORT"),
                serving(settings(metrics_port=port)),
            ):
                pytest.fail("served on a port of another program")
    with serving(settings(metrics_port=port)) as served:
        assert served == port


# --- a stack on one machine ---------------------------------------------------------------------------------------------


def test_each_process_of_a_stack_serves_on_a_port_of_its_own(tmp_path: Path) -> None:
    """Whatever one port the operator gave: several processes cannot share it."""
    given = settings(data_dir=tmp_path, bootstrap_servers="127.0.0.1:9", redis_url="redis://127.0.0.1:9/0", metrics_port=9464)
    plan = StackPlan(given, ("openai",), {"dispatch": 2, "intake": 1}, environment={}, simulator=False)
    spawner = Spawner(log=tmp_path / "leash.log")
    assembly = Assembler(plan, Project(tmp_path), spawner, on_progress=lambda _: None).assemble()
    parts = [part for role in assembly.workers.values() for part in role if isinstance(part, Program)]
    assert [part.name for part in parts] == ["dispatch-0", "dispatch-1", "intake-0"]
    assert {part.environment["PENSTOCK_METRICS_PORT"] for part in parts} == {"0"}
    assert {part.address for part in parts} == {None}, "known once it is ready"


_ROLE = """
import os, pathlib, time
from streams.metrics import serving
from streams.settings import Settings
with serving(Settings(_env_file=None)):
    pathlib.Path(os.environ["PENSTOCK_READY_FILE"]).write_text("ready")
    time.sleep(60)
"""


async def test_a_program_says_where_its_metrics_are_and_again_after_a_restart(tmp_path: Path) -> None:
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "PENSTOCK_METRICS_PORT": "0"}
    async with Spawner(log=tmp_path / "leash.log") as spawner:
        argv = (sys.executable, "-c", _ROLE)
        program = Program("intake-0", argv, environment, tmp_path / "log", tmp_path, spawner, metrics_host="127.0.0.1")
        for _ in range(2):
            process = await program.start()
            found = re.fullmatch(r"http://127\.0\.0\.1:(\d+)/metrics", program.address or "")
            assert found is not None
            assert "ai_system_resources" in await asyncio.to_thread(read, int(found[1]))
            await process.stop(grace_s=0.1)
