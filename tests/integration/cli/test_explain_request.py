"""`penstock explain` against a stack that calls a simulator: the log tells why a request went where it went."""

import contextlib
import json
import subprocess
import time
import urllib.request
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.integration.cli.command import COMMAND, Penstock, environment

pytestmark = [pytest.mark.timeout(600), pytest.mark.slow]
PATIENCE_S = 240.0  # of one command, where the machine has other work

FIRST, SECOND, DEAR = "anthropic/claude-haiku-4-5", "openai/gpt-4o-mini", "openai/gpt-4o"
SIZES = {"context_tokens": 100_000, "max_output_tokens": 1_000}
CHEAP = {"input_usd_per_million": 1, "output_usd_per_million": 5}
DEARLY = {"input_usd_per_million": 1_000, "output_usd_per_million": 4_000}
CATALOGUE = {
    "version": "explained",
    "providers": {name: {"kind": name, "address": "http://127.0.0.1:1"} for name in ("anthropic", "openai")},
    "deployments": [
        {"provider": "anthropic", "model": "claude-haiku-4-5", "price": CHEAP, **SIZES},
        {"provider": "openai", "model": "gpt-4o-mini", "price": CHEAP, **SIZES},
        {"provider": "openai", "model": "gpt-4o", "price": DEARLY, **SIZES},
    ],
    "routing": {"default": "composite"},
}


@pytest.fixture(scope="module")
def penstock(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Penstock]:
    """A stack of this module's own: its policy is one that gives scores."""
    cwd = tmp_path_factory.mktemp("explained")
    (cwd / "deployments.json").write_text(json.dumps(CATALOGUE))
    data_dir, log = cwd / "data", cwd / "up.log"
    argv = (*COMMAND, "up", "--data-dir", str(data_dir), "--simulator")
    variables = {"PENSTOCK_DEPLOYMENTS_FILE": str(cwd / "deployments.json")}
    with log.open("w") as out:
        process = subprocess.Popen(argv, cwd=cwd, env=environment(**variables), stdout=out, stderr=subprocess.STDOUT, text=True)
    try:
        give_up = time.monotonic() + PATIENCE_S
        while "penstock ask" not in log.read_text():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < give_up, log.read_text()
            time.sleep(0.1)
        yield Penstock(cwd, ("--data-dir", str(data_dir)))
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(40)
        process.kill()
        process.wait(10)


def asked(penstock: Penstock, request_id: str, tenant: str, **fields: Any) -> dict[str, Any]:
    """The answer to one request that names its own id."""
    line = {"request_id": request_id, "messages": [{"role": "user", "content": f"What is {request_id}?"}], **fields}
    answers = penstock.cwd / f"{request_id}.jsonl"
    found = penstock(
        "publish",
        "-",
        "--tenant",
        tenant,
        "--wait",
        "--json",
        "--output",
        str(answers),
        stdin=json.dumps(line) + "\n",
        timeout_s=PATIENCE_S,
    )
    assert found.code == 0, found.err
    [answer] = [json.loads(written) for written in answers.read_text().splitlines()]
    return dict(answer)


@contextlib.contextmanager
def overloaded(penstock: Penstock, provider: str) -> Iterator[None]:
    """The provider answers 503 to every call meanwhile."""
    stack = json.loads((penstock.cwd / "data" / "stack.json").read_text())
    address, profile = f"{stack['simulator_url']}/_sim/profiles/{provider}", json.dumps({"faults": [{"fault": "http_503"}]})
    headers = {"content-type": "application/json"}
    urllib.request.urlopen(urllib.request.Request(address, profile.encode(), headers, method="PUT")).close()
    try:
        yield
    finally:
        urllib.request.urlopen(urllib.request.Request(address, method="DELETE")).close()


def test_a_request_that_failed_over_is_told_from_its_class_to_its_cost(penstock: Penstock) -> None:
    name, tenant = f"failed-over-{uuid.uuid4().hex[:8]}", "explained"
    with overloaded(penstock, "anthropic"):
        answer = asked(penstock, name, tenant, preferences={"max_cost_nanousd": 100_000_000})
    assert (answer["status"], answer["attempts"]) == ("ok", 2)

    [lineage] = penstock("explain", name, "--json", timeout_s=PATIENCE_S).lines
    assert (lineage["request_id"], lineage["tenant"], lineage["state"]) == (name, tenant, "finished")
    [decision] = [seen["record"] for seen in lineage["decisions"]]
    assert [candidate["deployment"] for candidate in decision["candidates"]] == [FIRST, SECOND]
    scores = {scored["deployment"]: scored for scored in decision["scores"]}
    assert scores.keys() == {FIRST, SECOND, DEAR}
    assert {part for scored in (FIRST, SECOND) for part in scores[scored]["parts"]} == {"success", "latency", "health"}
    assert scores[DEAR]["lack"] == "over_max_cost"
    assert [seen["topic"] for seen in lineage["orders"]] == ["ai.calls.anthropic", "ai.calls.openai"]
    ends = [seen["record"] for seen in lineage["calls"] if seen["record"]["phase"] != "STARTED"]
    assert [(end["phase"], end["deployment"]) for end in ends] == [("FAILED", FIRST), ("COMPLETED", SECOND)]
    paid = sum(seen["record"]["cost_nanousd"] for seen in lineage["costs"])
    assert paid == answer["cost_nanousd"] > 0

    text = penstock("explain", name, timeout_s=PATIENCE_S).out
    said = text.splitlines()
    labels = [line[:12].strip() for line in said if line[:12].strip()]
    assert labels == ["request", "classified", "cache", "policy", "call 1", "call 2", "final"]
    [policy] = [line for line in said if line.startswith("policy")]
    assert decision["policy"] in policy
    assert decision["policy"].startswith("composite@")
    for place, deployment in enumerate((FIRST, SECOND), 1):
        [row] = [line for line in said if f"{place}.  {deployment}" in line]
        assert f"{scores[deployment]['score']:.4f}" in row
        assert all(f"{part} {value:g}" in row for part, value in scores[deployment]["parts"].items())
    [excluded] = [line for line in said if f"-   {DEAR}" in line]
    assert f"excluded, over_max_cost: {scores[DEAR]['why']}" in excluded
    assert f"call 1      {FIRST}, ordered" in text
    assert "(HTTP 503)" in text
    assert f"call 2      {SECOND}, ordered" in text
    assert f"{answer['usage']['input_tokens']:,} tokens in, {answer['usage']['output_tokens']:,} out" in text
    assert f"final       ok from {SECOND}" in text
    assert "2 attempts" in said[-1]


def test_a_repeat_from_the_cache_names_what_served_it(penstock: Penstock) -> None:
    tenant, question = "repeating", {"messages": [{"role": "user", "content": f"Once more {uuid.uuid4()}"}]}
    first = f"first-{uuid.uuid4().hex[:8]}"
    answer = asked(penstock, first, tenant, **question)
    give_up = datetime.now(UTC) + timedelta(seconds=PATIENCE_S)
    served: set[str] = {first}
    while True:
        again = f"again-{uuid.uuid4().hex[:8]}"
        if (repeated := asked(penstock, again, tenant, **question))["cache"] == "hit":
            break
        served.add(again)
        assert datetime.now(UTC) < give_up
    assert repeated["served_by"] in served
    text = penstock("explain", again, "--tenant", tenant, timeout_s=PATIENCE_S).out
    assert f"cache       answered: the answer to {repeated['served_by']} of {answer['deployment']}, kept" in text
    assert f"the answer is that of {repeated['served_by']}" in text
    assert " avoided" in text
    assert "call 1" not in text
    [lineage] = penstock("explain", again, "--tenant", tenant, "--json", timeout_s=PATIENCE_S).lines
    assert (lineage["calls"], lineage["orders"]) == ([], [])
    assert [seen["record"]["kind"] for seen in lineage["costs"]] == ["CACHE_HIT"]


@pytest.mark.parametrize("options", [(), ("--json",), ("--tenant", "nobody")], ids=["text", "json", "of a tenant"])
def test_an_unknown_id_says_what_to_check(penstock: Penstock, options: tuple[str, ...]) -> None:
    found = penstock("explain", "never-sent", *options, timeout_s=PATIENCE_S)
    assert (found.code, found.out) == (1, "")
    assert "'never-sent'" in found.err
    assert "check the id and the tenant" in found.err
    if "--tenant" in options:
        assert "of nobody" in found.err
