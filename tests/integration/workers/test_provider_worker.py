"""The worker on a real Kafka and a real HTTP provider: what stands in the log, and what reached the provider."""

import asyncio
import json
import signal
import sys
import time
from collections import defaultdict
from dataclasses import replace
from datetime import timedelta

import pytest
from aiokafka import AIOKafkaConsumer

from processors.providers.contract import Completion
from schemas.calls import Billing, CallPhase, CallReported, FailureKind, Output, Usage
from schemas.errors import SettingsError
from schemas.health import HealthOutcome
from schemas.outcomes import DeadLetter
from schemas.requests import Operation
from schemas.serde import Serde
from streams import clock, topics
from streams.bootstrap import create_topics
from streams.placement import partition_of
from streams.publisher import Outgoing
from streams.runtime import open_runtime
from streams.workers import provider as worker
from streams.workers.credentials import adapter_of, provider_of
from tests.fakes.stack import embedded_kafka
from tests.integration.workers.conftest import WAIT_S, Bench

pytestmark = pytest.mark.stack
END = (CallPhase.COMPLETED, CallPhase.FAILED)


def by_call(reports):
    found = defaultdict(list)
    for report in reports:
        found[report.call_id].append(report)
    return found


async def test_every_order_is_called_once_and_reported_in_order(bench: Bench):
    await bench.simulate()
    orders = [bench.order(f"r{i}") for i in range(60)]
    async with bench.worker() as runtime:
        await bench.publish(runtime, *orders)
        reports = await bench.reports(count=120)
    calls = by_call(reports)
    assert len(calls) == 60
    assert all([r.phase for r in both] == [CallPhase.STARTED, CallPhase.COMPLETED] for both in calls.values())
    assert {r.request_id for r in reports} == {o.request_id for o in orders}
    billed = {c.call_id: c for c in bench.called()}
    assert billed.keys() == calls.keys()
    for call_id, (started, completed) in calls.items():
        assert (completed.usage.input_tokens, completed.usage.output_tokens) == (
            billed[call_id].input_tokens,
            billed[call_id].output_tokens,
        )
        assert completed.output.content
        assert started.reported_at <= completed.reported_at
        assert started.lost_at == started.started_at + timedelta(seconds=30 + bench.settings.lost_grace_s)
        assert (started.input_tokens_estimate, started.output_tokens_bound) == (20, 100)
    assert await bench.committed() == 60


async def test_a_report_is_placed_by_its_lane(bench: Bench):
    await bench.simulate()
    async with bench.worker() as runtime:
        await bench.publish(runtime, bench.order("a"), bench.order("bb"))
        await bench.reports(count=4)
        async with AIOKafkaConsumer(
            topics.ATTEMPTS, bootstrap_servers=bench.settings.bootstrap_servers, auto_offset_reset="earliest"
        ) as consumer:
            found = []
            while len(found) < 4:
                for records in (await consumer.getmany(timeout_ms=100)).values():
                    found += [r for r in records if r.key.decode().startswith(bench.tenant)]
        assert all(r.partition == partition_of(r.key.decode(), runtime.lanes) for r in found)


async def test_started_stands_before_the_request_reaches_the_provider(bench: Bench):
    await bench.simulate("hang")
    async with bench.worker(drain_timeout_s=0.2) as runtime:
        await bench.publish(runtime, bench.order("r1"))
        (started,) = await bench.reports(count=1)
        assert started.phase is CallPhase.STARTED
        (arrived,) = await bench.reached(1)
        assert arrived.t_in >= started.reported_at.timestamp()


async def test_an_order_past_its_deadline_is_reported_and_not_called(bench: Bench):
    await bench.simulate()
    late = clock.now() - timedelta(seconds=1)
    async with bench.worker() as runtime:
        await bench.publish(runtime, bench.order("r1", deadline=late))
        (report,) = await bench.reports(count=1)
    assert (report.phase, report.failure.kind, report.failure.billing) == (
        CallPhase.FAILED,
        FailureKind.EXPIRED,
        Billing.NOT_BILLED,
    )
    assert report.started_at is None
    assert bench.called() == []
    assert await bench.committed() == 1


async def test_a_call_ends_at_the_deadline_of_its_request(bench: Bench):
    await bench.simulate("hang")
    async with bench.worker() as runtime:
        begun = time.perf_counter()
        await bench.publish(runtime, bench.order("r1", deadline=clock.now() + timedelta(seconds=1)))
        _, failed = await bench.reports(count=2, settle_s=0)
        took_s = time.perf_counter() - begun
    assert (failed.failure.kind, failed.failure.billing) == (FailureKind.TIMED_OUT, Billing.UNKNOWN)
    assert 500 <= failed.latency_ms <= 1100
    assert took_s < 5


async def test_failures_are_reported_with_what_the_provider_asked_for(bench: Bench):
    await bench.simulate("http_429:7")
    async with bench.worker() as runtime:
        await bench.publish(runtime, bench.order("r1"))
        _, failed = await bench.reports(count=2)
        (health,) = await bench.read(topics.HEALTH, count=1)
    assert (failed.failure.kind, failed.failure.retry_after_s) == (FailureKind.RATE_LIMITED, 7.0)
    assert (health.outcome, health.failure_kind, health.http_status, health.retry_after_s) == (
        HealthOutcome.FAILURE,
        "rate_limited",
        429,
        7.0,
    )
    assert len(bench.called()) == 1, "retries are the dispatcher's"


async def test_health_follows_success(bench: Bench):
    await bench.simulate()
    async with bench.worker() as runtime:
        await bench.publish(runtime, bench.order("r1"))
        _, completed = await bench.reports(count=2)
        (health,) = await bench.read(topics.HEALTH, count=1)
    assert (health.outcome, health.deployment, health.in_flight) == (HealthOutcome.SUCCESS, f"{bench.provider}/m", 1)
    assert (health.call_id, health.output_tokens) == (completed.call_id, completed.usage.output_tokens)


async def test_a_stream_arrives_in_chunks_without_gaps_and_once_whole(bench: Bench):
    await bench.simulate(per_token_ms=5)
    async with bench.worker() as runtime:
        await bench.publish(runtime, bench.order("r1", stream=True), text="[[sim in=20 out=60]]")
        _, completed = await bench.reports(count=2)
        chunks = await bench.read(topics.CHUNKS, count=2)
    assert [c.seq for c in chunks] == list(range(len(chunks)))
    assert [c.last for c in chunks] == [False] * (len(chunks) - 1) + [True]
    assert {c.call_id for c in chunks} == {completed.call_id}
    assert "".join(c.content or "" for c in chunks) == completed.output.content
    assert chunks[-1].usage == completed.usage
    assert (completed.usage.output_tokens, completed.output.finish_reason) == (60, "stop")
    assert completed.first_token_ms < completed.latency_ms
    # 60 tokens at 5 ms each are 300 ms: one chunk in 20 ms, the first, the last, and some slack.
    assert 3 <= len(chunks) <= 25


async def test_a_stream_that_breaks_ends_its_chunks_too(bench: Bench):
    await bench.simulate("reset_mid_body", per_token_ms=2)
    async with bench.worker() as runtime:
        await bench.publish(runtime, bench.order("r1", stream=True), text="[[sim in=20 out=60]]")
        _, failed = await bench.reports(count=2)
        chunks = await bench.read(topics.CHUNKS, count=2)
    assert (failed.failure.kind, failed.failure.billing) == (FailureKind.INTERRUPTED, Billing.UNKNOWN)
    assert [c.seq for c in chunks] == list(range(len(chunks)))
    assert (chunks[-1].last, chunks[-1].finish_reason) == (True, None)


async def test_embeddings_of_a_streaming_request_come_with_one_last_chunk(bench: Bench):
    await bench.simulate()
    async with bench.worker() as runtime:
        await bench.publish(runtime, bench.order("r1", stream=True, operation=Operation.EMBEDDINGS))
        _, completed = await bench.reports(count=2)
        (chunk,) = await bench.read(topics.CHUNKS, count=1)
    assert len(completed.output.embeddings) == 1
    assert (chunk.seq, chunk.last) == (0, True)


async def test_calls_of_a_deployment_never_exceed_its_bound_and_do_not_block_others(bench: Bench):
    await bench.simulate(first_token_ms=150)
    narrow = [bench.order(f"n{i}", deployment=f"{bench.provider}/narrow", model="narrow") for i in range(8)]
    wide = [bench.order(f"w{i}") for i in range(20)]
    async with bench.worker() as runtime:
        await bench.publish(runtime, *narrow, *wide)
        reports = await bench.reports(count=56)
    assert _most_at_once(r for r in reports if r.model == "narrow") == 2
    assert _most_at_once(r for r in reports if r.model == "m") > 2
    last_wide = max(r.reported_at for r in reports if r.model == "m")
    last_narrow = max(r.reported_at for r in reports if r.model == "narrow")
    assert last_wide < last_narrow


def _most_at_once(reports) -> int:
    moves = sorted((r.reported_at, -1 if r.phase in END else 1) for r in reports)
    most = now = 0
    for _, move in moves:
        now += move
        most = max(most, now)
    return most


async def test_what_is_no_order_becomes_a_dead_letter_and_its_neighbours_are_called(bench: Bench):
    await bench.simulate()
    async with bench.worker() as runtime:
        await runtime.publisher.send_all([Outgoing(bench.topic, "x", b"no order"), Outgoing(bench.topic, "y", None)])
        await bench.publish(runtime, bench.order("r1"))
        await bench.reports(count=2)
        letters = await _dead_letters(bench, count=2)
    assert {letter.reason for letter in letters} == {"bad_magic", "empty"}
    assert {letter.stage for letter in letters} == {"calls"}
    assert await bench.committed() == 3


async def _dead_letters(bench: Bench, *, count: int):
    codec, found = Serde().of(DeadLetter), []
    async with AIOKafkaConsumer(
        topics.DEAD_LETTERS, bootstrap_servers=bench.settings.bootstrap_servers, auto_offset_reset="earliest"
    ) as consumer:
        deadline = time.monotonic() + WAIT_S
        while len(found) < count and time.monotonic() < deadline:
            for records in (await consumer.getmany(timeout_ms=100)).values():
                found += [letter for letter in (codec.decode(r.value) for r in records) if letter.topic == bench.topic]
    return found


async def test_an_order_whose_request_cannot_be_read_is_refused(bench: Bench):
    await bench.simulate()
    async with bench.worker() as runtime:
        await bench.publish(runtime, bench.order("r1", request=b"\x00\x00\x00\x00\x01broken"))
        (report,) = await bench.reports(count=1)
    assert (report.phase, report.failure.kind, report.failure.billing) == (
        CallPhase.FAILED,
        FailureKind.REJECTED,
        Billing.NOT_BILLED,
    )
    assert bench.called() == []


async def test_an_answer_too_large_for_a_record_is_a_failure_with_its_usage(bench: Bench):
    await bench.simulate()
    async with bench.worker() as runtime:
        # 2 MB is what a record may take; an answer of that size would take the simulator long.
        object.__setattr__(runtime.serde.of(CallReported), "max_bytes", 400)
        await bench.publish(runtime, bench.order("r1"), text="[[sim in=20 out=90]]")
        _, failed = await bench.reports(count=2)
    assert (failed.failure.kind, failed.failure.billing) == (FailureKind.REJECTED, Billing.BILLED)
    assert failed.usage.output_tokens == 90
    assert failed.output is None


async def test_stopping_lets_calls_finish_and_reports_them(bench: Bench):
    await bench.simulate(first_token_ms=800)
    async with bench.worker() as runtime:
        await bench.publish(runtime, *(bench.order(f"r{i}") for i in range(10)))
        await bench.reports(count=10, settle_s=0)
        begun = time.perf_counter()
    took_s = time.perf_counter() - begun
    reports = await bench.reports(count=20)
    assert [r.phase for r in reports].count(CallPhase.COMPLETED) == 10
    assert took_s < 5
    assert await bench.committed() == 10


async def test_stopping_cuts_off_what_takes_too_long_and_says_so(bench: Bench):
    await bench.simulate("hang")
    orders = [bench.order(f"n{i}", deployment=f"{bench.provider}/narrow", model="narrow") for i in range(5)]
    async with bench.worker(drain_timeout_s=0.5) as runtime:
        await bench.publish(runtime, *orders)
        await bench.reports(count=2, settle_s=0)
        await bench.reached(2)
        begun = time.perf_counter()
    assert time.perf_counter() - begun < 5
    reports = await bench.reports(count=4)
    failed = [r for r in reports if r.phase is CallPhase.FAILED]
    assert [(r.failure.kind, r.failure.billing) for r in failed] == [(FailureKind.CANCELLED, Billing.UNKNOWN)] * 2
    assert len(bench.called()) == 2, "what waited for a place was not called"
    # The three that waited stay in the log, and the next worker takes them.
    await bench.simulate()
    async with bench.worker() as runtime:
        reports = await bench.reports(count=10)
    assert [r.phase for r in reports].count(CallPhase.COMPLETED) == 3
    assert await bench.committed() == 5


async def test_a_redelivered_order_is_a_call_of_its_own(bench: Bench):
    await bench.simulate()
    order = bench.order("r1")
    async with bench.worker() as runtime:
        await bench.publish(runtime, order, order)
        calls = by_call(await bench.reports(count=4))
    assert len(calls) == 2
    assert {c.call_id for c in bench.called()} == calls.keys()


async def test_a_provider_without_key_and_simulator_does_not_start(bench: Bench):
    bench.settings = bench.settings.model_copy(update={"simulator_url": None})
    async with open_runtime(bench.settings, bench.role) as runtime:
        provider = provider_of(bench.role, runtime.catalogue)
        with pytest.raises(SettingsError, match="A_KEY_THAT_IS_NOT_SET"):
            adapter_of(provider, runtime.settings, {}, connections=1)
        with pytest.raises(SettingsError, match=bench.provider):
            provider_of("calls:nobody", runtime.catalogue)
        keyless = replace(provider, key_env=None, address="ftp://example.com")
        with pytest.raises(SettingsError, match="http"):
            adapter_of(keyless, runtime.settings, {}, connections=1)


class Broken:
    """An adapter with a bug: it fails on every second call in a way that it does not name."""

    def __init__(self) -> None:
        self.calls = 0

    async def complete(self, call, *, timeout_s, on_chunk=None):
        self.calls += 1
        if self.calls % 2:
            raise ValueError("the prompt was SECRET")
        return Completion(Output(content="Hi"), Usage(3, 2))

    async def close(self):
        pass


async def test_an_adapter_that_breaks_costs_its_own_call_alone(bench: Bench, monkeypatch, capsys):
    await bench.simulate()
    monkeypatch.setattr(worker, "adapter_of", lambda *_, **__: Broken())
    async with bench.worker() as runtime:
        await bench.publish(runtime, *(bench.order(f"r{i}") for i in range(4)))
        reports = await bench.reports(count=8)
    failures = [r.failure for r in reports if r.phase is CallPhase.FAILED]
    assert [r.phase for r in reports].count(CallPhase.COMPLETED) == 2
    assert [(f.kind, f.billing) for f in failures] == [(FailureKind.REJECTED, Billing.UNKNOWN)] * 2
    assert "SECRET" not in repr(failures) + "".join(capsys.readouterr())
    assert await bench.committed() == 4


@pytest.mark.slow
async def test_a_broker_that_dies_during_a_call_gets_the_report_when_it_is_back(bench: Bench):
    with embedded_kafka() as broker:
        bench.settings = bench.settings.model_copy(update={"bootstrap_servers": broker.bootstrap_servers})
        await create_topics(bench.settings, [bench.provider])
        await bench.simulate(first_token_ms=1500)
        async with bench.worker() as runtime:
            await bench.publish(runtime, *(bench.order(f"r{i}") for i in range(5)))
            await bench.reached(5)
            await asyncio.to_thread(broker.kill)
            await asyncio.sleep(2)
            await asyncio.to_thread(broker.start)
            calls = by_call(await bench.reports(count=10, settle_s=1))
    completed = [both for both in calls.values() if both[-1].phase is CallPhase.COMPLETED]
    assert {both[0].request_id for both in completed} == {f"r{i}" for i in range(5)}
    assert {c.call_id for c in bench.called()} <= calls.keys(), "no call without a STARTED"


KILLS = {
    # point: (calls that reached the provider before the kill, reports of the killed worker's last call)
    "K5": (0, []),
    "K6": (0, [CallPhase.STARTED]),
    "K7": (1, [CallPhase.STARTED]),
    "K8": (1, [CallPhase.STARTED]),
    "K9": (1, [CallPhase.STARTED]),
    "K10": (1, [CallPhase.STARTED, CallPhase.COMPLETED]),
}


# The fault rig kills at every point of a whole stack; of these the last but one tells most.
@pytest.mark.parametrize("point", [p if p == "K9" else pytest.param(p, marks=pytest.mark.slow) for p in KILLS])
async def test_a_kill_at_any_point_leaves_the_order_in_the_log(bench: Bench, point):
    """A worker process is killed at the point; the next one takes the order again, under a call_id of its own."""
    reached, phases = KILLS[point]
    await bench.simulate(first_token_ms=100, per_token_ms=2)
    async with open_runtime(bench.settings, bench.role) as runtime:
        await bench.publish(runtime, bench.order("r1", stream=True))
    killed = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        "import asyncio, json, sys; from streams.roles import run_role; from streams.settings import Settings;"
        "asyncio.run(run_role(sys.argv[1], Settings(_env_file=None, **json.loads(sys.argv[2]))))",
        bench.role,
        json.dumps({k: str(v) if k == "deployments_file" else v for k, v in _plain(bench.settings).items()}),
        env={"PENSTOCK_FAULT": f"{point}:1", "PATH": "", "PYTHONPATH": "."},
    )
    assert await asyncio.wait_for(killed.wait(), 60) == -signal.SIGKILL
    await asyncio.sleep(0.2)
    assert len(bench.called()) == reached
    before = [r.phase for r in await bench.reports(count=len(phases))]
    assert before == phases
    assert await bench.committed() == 0
    async with bench.worker():
        reports = await bench.reports(count=len(phases) + 2)
    calls = by_call(reports)
    assert len(calls) == (2 if phases else 1)
    assert [r.phase for r in list(calls.values())[-1]] == [CallPhase.STARTED, CallPhase.COMPLETED]
    assert {c.call_id for c in bench.called()} <= calls.keys(), "no call without a STARTED"
    assert await bench.committed() == 1


def _plain(settings):
    names = ("app", "bootstrap_servers", "simulator_url", "deployments_file", "session_timeout_ms", "drain_timeout_s")
    return {name: getattr(settings, name) for name in names}
