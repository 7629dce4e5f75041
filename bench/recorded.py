"""Recorded input through the whole pipeline on an embedded stack, with simulated providers, and what `verify` says.

    python bench/recorded.py mt-bench FILE.jsonl
    python bench/recorded.py trace FILE.csv --speed 10 [--kill] [--limit N]

`mt-bench` takes two-turn questions (`{"question_id", "turns": [first, second]}`) over three providers in turn; the second turn
carries the first answer. `trace` sends requests of the recorded sizes at the recorded times (columns TIMESTAMP, ContextTokens,
GeneratedTokens); `--kill` ends a dispatcher and a worker by SIGKILL on the way. One JSON object on standard output.
"""

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer

from schemas.ledger import CostEvent, CostKind
from schemas.outcomes import InferenceResponse
from schemas.requests import InferenceRequest, Message, Preferences
from schemas.serde import Serde
from streams import topics
from streams.cli.trace import Row, read_trace, request_of
from streams.embedded.plan import StackPlan, every_role
from streams.embedded.stack import Stack
from streams.publisher import Outgoing, Publisher
from streams.settings import Settings
from streams.verify.check import verify

MODELS = {"openai": "gpt-4o-mini", "anthropic": "claude-haiku-5-5", "google": "gemini-2.5-flash"}
CALL_TIMEOUT_S = 20
KILL_DISPATCHER_AT, KILL_WORKER_AT = 0.3, 0.6


class Answers:
    """Reads ai.responses and hands each final to who waits for it."""

    def __init__(self, serde: Serde) -> None:
        self._codec = serde.of(InferenceResponse)
        self._waiting: dict[str, asyncio.Future[InferenceResponse]] = {}
        self.finals: Counter[str] = Counter()

    def expect(self, request_id: str) -> "asyncio.Future[InferenceResponse]":
        return self._waiting.setdefault(request_id, asyncio.get_running_loop().create_future())

    async def read(self, bootstrap_servers: str) -> None:
        async with AIOKafkaConsumer(
            topics.RESPONSES, bootstrap_servers=bootstrap_servers, isolation_level="read_committed", auto_offset_reset="earliest"
        ) as consumer:
            async for record in consumer:
                response = self._codec.decode(record.value)
                if response.final:
                    self.finals[response.status.value] += 1
                    if (waiting := self._waiting.pop(response.request_id, None)) is not None:
                        waiting.set_result(response)


async def mt_bench(publisher: Publisher, serde: Serde, answers: Answers, path: Path) -> dict[str, Any]:
    """Both turns of every question, each conversation at its own pace."""
    providers = list(MODELS)

    async def converse(number: int, question: dict[str, Any]) -> Counter[str]:
        messages: tuple[Message, ...] = ()
        used: Counter[str] = Counter()
        for turn, text in enumerate(question["turns"], start=1):
            messages = (*messages, Message("user", text))
            request = InferenceRequest(
                request_id=f"mt-{question['question_id']}-{turn}",
                tenant=f"tenant-{number % 4}",
                model="auto",
                session=f"mt-{question['question_id']}",
                messages=messages,
                preferences=Preferences(provider=providers[number % len(providers)]),
            )
            answer = answers.expect(request.request_id)
            await publisher.send_all([Outgoing(topics.REQUESTS, request.tenant, serde.encode(request))])
            response = await asyncio.wait_for(answer, 120)
            messages = (*messages, Message("assistant", (response.output and response.output.content) or ""))
            used[response.provider or "none"] += 1
        return used

    with path.open(encoding="utf-8") as lines:
        questions = [json.loads(line) for line in lines]
    per_question = await asyncio.gather(*(converse(n, question) for n, question in enumerate(questions)))
    return {"questions": len(questions), "by_provider": dict(sum(per_question, Counter()))}


async def trace(
    stack: Stack, publisher: Publisher, serde: Serde, answers: Answers, options: argparse.Namespace
) -> dict[str, Any]:
    """Every row at its time, whatever the answers do."""
    with options.file.open(encoding="utf-8") as lines:
        rows = [row for row in read_trace(lines, limit=options.limit) if isinstance(row, Row)]
    kills = {}
    if options.kill:
        kills = {int(len(rows) * KILL_DISPATCHER_AT): "dispatch", int(len(rows) * KILL_WORKER_AT): "calls:openai"}
    waiting, killing, began_s, latest_s = [], [], time.monotonic(), 0.0
    for number, row in enumerate(rows):
        due_s = began_s + row.at_s / options.speed
        if (ahead_s := due_s - time.monotonic()) > 0:
            await asyncio.sleep(ahead_s)
        latest_s = max(latest_s, -ahead_s)
        if number in kills:
            killing.append(asyncio.create_task(stack.kill(kills[number])))
        request = request_of(row, source="trace", tenant=f"tenant-{number % 4}", model="auto")
        waiting.append(answers.expect(request.request_id))
        publisher.enqueue([Outgoing(topics.REQUESTS, request.tenant, serde.encode(request))])
    await asyncio.wait_for(asyncio.gather(*waiting, *killing), 300)
    found = await _tokens(stack, serde, rows)
    return {"rows": len(rows), "sent_in_s": round(time.monotonic() - began_s, 1), "latest_ms": round(latest_s * 1000), **found}


async def _tokens(stack: Stack, serde: Serde, rows: Sequence[Row]) -> dict[str, Any]:
    """Tokens of the trace beside those of the ledger, for requests that were called once."""
    calls: dict[str, list[CostEvent]] = {}
    codec = serde.of(CostEvent)
    async with AIOKafkaConsumer(
        topics.COSTS, bootstrap_servers=stack.bootstrap_servers, isolation_level="read_committed", auto_offset_reset="earliest"
    ) as consumer:
        ends = await consumer.end_offsets(consumer.assignment())
        while any([await consumer.position(tp) < end for tp, end in ends.items()]):
            for records in (await consumer.getmany(timeout_ms=200)).values():
                for record in records:
                    event = codec.decode(record.value)
                    if event.kind is CostKind.CALL:
                        calls.setdefault(event.request_id, []).append(event)
    once = [(row, found[0]) for row in rows if len(found := calls.get(f"trace-{row.number}", [])) == 1 and found[0].usage]
    return {
        "called_once": len(once),
        "called_again": sum(len(found) > 1 for found in calls.values()),
        "trace_input_tokens": sum(row.input_tokens for row, _ in once),
        "ledger_input_tokens": sum(event.usage.input_tokens for _, event in once if event.usage),
        "trace_output_tokens": sum(row.output_tokens for row, _ in once),
        "ledger_output_tokens": sum(event.usage.output_tokens for _, event in once if event.usage),
    }


async def run(options: argparse.Namespace) -> dict[str, Any]:
    names = tuple(MODELS) if options.input == "mt-bench" else ("openai",)
    with tempfile.TemporaryDirectory(prefix="penstock-recorded-") as folder:
        settings = Settings(_env_file=None, data_dir=Path(folder) / "data", deployments_file=_catalogue(Path(folder), names))
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PENSTOCK_")}
        latency = Path(folder) / "latency.json"
        latency.write_text(json.dumps({"default": {"first_token_ms": {"median": 150, "sigma": 0.4}}}), encoding="utf-8")
        plan = StackPlan(
            settings=settings,
            providers=names,
            roles=every_role(names),
            environment=environment,
            simulator=True,
            simulator_profile=latency,
        )
        async with Stack(plan) as stack:
            serde = Serde()
            answers = Answers(serde)
            reading = asyncio.create_task(answers.read(stack.bootstrap_servers))
            async with Publisher(bootstrap_servers=stack.bootstrap_servers, client_id="recorded") as publisher:
                if options.input == "mt-bench":
                    found = await mt_bench(publisher, serde, answers, options.file)
                else:
                    found = await trace(stack, publisher, serde, answers, options)
            verdict = await verify(stack.settings, call_log=stack.simulator_log, wait_s=90)
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
            print(verdict.line(), file=sys.stderr)
            return {"input": options.input, **found, "finals": dict(answers.finals), "verify": asdict(verdict)}


def _catalogue(folder: Path, names: Sequence[str]) -> Path:
    path = folder / "deployments.json"
    addresses = {name: {"kind": name, "address": "http://127.0.0.1:1"} for name in names}
    deployments = [
        {"provider": name, "model": MODELS[name], "timeout_s": CALL_TIMEOUT_S, "context_tokens": 1_000_000} for name in names
    ]
    path.write_text(json.dumps({"version": "recorded", "providers": addresses, "deployments": deployments}), encoding="utf-8")
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("input", choices=("mt-bench", "trace"))
    parser.add_argument("file", type=Path)
    parser.add_argument("--speed", type=float, default=10.0)
    parser.add_argument("--kill", action="store_true")
    parser.add_argument("--limit", type=int)
    result = asyncio.run(run(parser.parse_args()))
    print(json.dumps(result, indent=2, default=str))
    sys.exit(0 if result["verify"]["ok"] else 1)


if __name__ == "__main__":
    main()
