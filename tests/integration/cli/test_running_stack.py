"""Every command against a stack that `penstock up` runs: real Kafka, real workers, the simulator as provider."""

import json
import subprocess
import uuid
from datetime import UTC, datetime, timedelta

import pytest

from tests.integration.cli.command import COMMAND, environment

pytestmark = pytest.mark.timeout(300)


def tenant() -> str:
    return f"t-{uuid.uuid4().hex[:8]}"


def test_up_says_where_every_part_is(up):
    said = up.output()
    for part in ("kafka", "valkey", "catalogue", "simulator", "intake", "dispatch", "calls:openai", "calls:anthropic", "tables"):
        assert part in said
    assert "127.0.0.1:" in said
    assert "calls:google" not in said


def test_ask_answers_and_says_what_it_cost(up):
    found = up.penstock("ask", "Why is the sky blue?", "--tenant", tenant())
    assert found.code == 0
    assert len(found.out) > 20
    assert "tokens in" in found.err
    assert "$0.0" in found.err


def test_ask_json_is_one_object_with_the_record(up):
    name = tenant()
    found = up.penstock("ask", "Say hello", "--tenant", name, "--provider", "anthropic", "--json").json
    assert (found["tenant"], found["status"], found["provider"], found["final"]) == (name, "ok", "anthropic", True)
    assert isinstance(found["cost_nanousd"], int)
    assert found["round_trip_ms"] > 0


def test_a_second_ask_comes_from_the_cache(up):
    name, question = tenant(), f"A question asked twice {uuid.uuid4()}"
    first = up.penstock("ask", question, "--tenant", name, "--json").json
    give_up = datetime.now(UTC) + timedelta(seconds=20)
    while (second := up.penstock("ask", question, "--tenant", name, "--json").json)["cache"] != "hit":
        assert datetime.now(UTC) < give_up
    assert second["output"]["content"] == first["output"]["content"]
    assert second["cost_nanousd"] == 0


def hit_after(up, name: str, question: str) -> None:
    """Ask until the answer comes from the cache, which is filled a moment after the first."""
    give_up = datetime.now(UTC) + timedelta(seconds=20)
    while up.penstock("ask", question, "--tenant", name, "--json").json["cache"] != "hit":
        assert datetime.now(UTC) < give_up


def test_kept_answers_are_counted_and_forgotten(up):
    name, question = tenant(), f"A question to forget {uuid.uuid4()}"
    hit_after(up, name, question)
    found = up.penstock("cache", "stats", "--tenant", name, "--json").json
    assert (found["hit"], found["miss"]) == (1, 1) or found["miss"] > 1
    assert found["hit_rate"] == found["hit"] / (found["hit"] + found["miss"])
    assert found["avoided_nanousd"] > 0
    assert up.penstock("cache", "drop", "--tenant", name, "--model", "no-such-model", "--json").json == {"dropped": 0}
    assert up.penstock("cache", "drop", "--tenant", f"{name}-other", "--json").json == {"dropped": 0}
    assert up.penstock("cache", "drop", "--tenant", name, "--json").json == {"dropped": 1}


@pytest.mark.parametrize("arguments", [(), ("--all", "--tenant", "acme")], ids=["nothing said", "both"])
def test_dropping_needs_to_know_what(up, arguments):
    found = up.penstock("cache", "drop", *arguments)
    assert found.code == 2
    assert "--tenant" in found.err


def test_a_streamed_answer_is_the_same_as_the_whole(up):
    question = f"Tell a story {uuid.uuid4()}"
    streamed = up.penstock("ask", question, "--stream", "--no-cache", "--provider", "openai")
    whole = up.penstock("ask", question, "--no-cache", "--provider", "openai")
    assert streamed.code == whole.code == 0
    assert streamed.out == whole.out


def test_ask_of_a_provider_that_is_not_there(up):
    found = up.penstock("ask", "hi", "--provider", "nobody")
    assert found.code == 2
    assert "openai" in found.err


def test_a_request_that_fails_exits_with_1(up):
    found = up.penstock("ask", "hi", "--model", "no-such-model")
    assert found.code == 1
    assert "penstock: error" in found.err


def test_publish_waits_and_the_same_file_is_not_paid_twice(up, tmp_path):
    name = tenant()
    file = tmp_path / "requests.jsonl"
    own = [json.dumps({"messages": [{"role": "user", "content": f"Question {n}"}]}) for n in range(8)]
    batch = {
        "custom_id": "b1",
        "method": "POST",
        "url": "/v1/chat/completions",
        "body": {"messages": [{"role": "user", "content": "b"}]},
    }
    file.write_text("\n".join([*own, json.dumps(batch), "{broken"]) + "\n")
    log, answers = tmp_path / "acknowledged.jsonl", tmp_path / "answers.jsonl"
    options = (str(file), "--tenant", name, "--wait", "--json", "--timeout", "60")

    first = up.penstock("publish", *options, "--acknowledged-log", str(log), "--output", str(answers))
    assert first.code == 1, "a bad line is told"
    assert [bad["line"] for bad in first.json["bad"]] == [10]
    assert first.json["published"] == 9
    assert first.json["answers"]["by_status"] == {"ok": 9}
    acknowledged = [json.loads(line) for line in log.read_text().splitlines()]
    assert {a["tenant"] for a in acknowledged} == {name}
    written = [json.loads(line) for line in answers.read_text().splitlines()]
    assert {a["request_id"] for a in acknowledged} == {r["request_id"] for r in written}
    assert "b1" in {r["request_id"] for r in written}
    cost = first.json["answers"]["cost_nanousd"]
    assert cost > 0

    second = up.penstock("publish", *options).json
    assert second["answers"]["by_status"] == {"duplicate": 9}
    spent = up.penstock("costs", "--tenant", name, "--json").json["total"]
    assert (spent["calls"], spent["cost_nanousd"]) == (9, cost)


def test_lines_of_a_pipe_are_new_requests_each_time(up):
    name = tenant()
    for _ in range(2):
        found = up.penstock("publish", "-", "--tenant", name, "--wait", "--json", stdin="one\n\ntwo\n").json
        assert (found["published"], found["answers"]["by_status"]) == (2, {"ok": 2})


def test_a_rate_is_kept(up):
    began = datetime.now(UTC)
    lines = "".join(f"line {n}\n" for n in range(11))
    found = up.penstock("publish", "-", "--rate", "10", "--json", stdin=lines).json
    assert found["published"] == 11
    assert datetime.now(UTC) - began >= timedelta(seconds=1)
    assert found["late_ms"]["max"] < 5_000


def test_a_trace_is_replayed_to_the_token(up, tmp_path):
    name = tenant()
    trace = tmp_path / "trace.csv"
    rows = [(n, 100 + n, 5 + n) for n in range(10)]
    lines = [f"2023-11-16 18:17:0{at}.5000000,{into},{out}" for at, into, out in rows]
    trace.write_text("\n".join(["TIMESTAMP,ContextTokens,GeneratedTokens", *lines]) + "\n")
    found = up.penstock("publish", "--trace", str(trace), "--speed", "10", "--tenant", name, "--wait", "--json").json
    answers = found["answers"]
    assert answers["by_status"] == {"ok": 10}
    assert answers["input_tokens"] == sum(into for _, into, _ in rows)
    assert answers["output_tokens"] == sum(out for _, _, out in rows)
    assert found["late_ms"] is not None


def test_consume_shows_what_went_by(up):
    name = tenant()
    asked = up.penstock("ask", "Remember me", "--tenant", name, "--json").json
    responses = up.penstock("consume", "responses", "--tenant", name, "--json").lines
    assert [r["record"]["request_id"] for r in responses] == [asked["request_id"]]
    assert (responses[0]["topic"], responses[0]["type"], responses[0]["key"]) == (
        "ai.responses",
        "InferenceResponse",
        asked["request_id"],
    )
    orders = up.penstock("consume", f"calls:{asked['provider']}", "--tenant", name, "--json").lines
    assert orders[0]["record"]["request"]["messages"][0]["content"] == "Remember me"
    phases = [a["record"]["phase"] for a in up.penstock("consume", "attempts", "--tenant", name, "--json").lines]
    assert phases == ["STARTED", "COMPLETED"]
    pretty = up.penstock("consume", "costs", "--tenant", name)
    assert asked["request_id"] in pretty.out
    assert len(pretty.out.splitlines()) == 1
    for what in ("requests", "routed", "health", "totals", "changelog", "chunks", "dead-letters"):
        assert up.penstock("consume", what, "--from", "-3").code == 0


@pytest.mark.slow
def test_consume_from_the_end_backwards_and_from_a_time(up):
    name = tenant()
    before = datetime.now(UTC)
    ids = [up.penstock("ask", f"n {n}", "--tenant", name, "--json").json["request_id"] for n in range(3)]
    last = up.penstock("consume", "responses", "--from", "-2", "--json").lines
    assert [r["record"]["request_id"] for r in last] == ids[1:]
    since = up.penstock("consume", "responses", "--from", before.isoformat(), "--json").lines
    assert {r["record"]["request_id"] for r in since} == set(ids)
    assert up.penstock("consume", "responses", "--from", "end", "--json").out == ""
    limited = up.penstock("consume", "responses", "--limit", "1", "--json").lines
    assert len(limited) == 1


def test_costs_are_integers_and_exact_dollars(up):
    name = tenant()
    asked = up.penstock("ask", "What does it cost?", "--tenant", name, "--json").json
    for by in ("tenant", "provider", "model", "hour", "day"):
        found = up.penstock("costs", "--by", by, "--tenant", name, "--json").json
        assert found["total"]["cost_nanousd"] == asked["cost_nanousd"] == sum(row["cost_nanousd"] for row in found["rows"])
    nanousd = asked["cost_nanousd"]
    shown = up.penstock("costs", "--tenant", name).out
    assert f"{nanousd // 10**9}.{nanousd % 10**9:09d}".rstrip("0") in shown
    assert "nothing was spent" in up.penstock("costs", "--tenant", "nobody").out


def test_topics_lists_all_with_their_schema_ids(up):
    found = up.penstock("topics", "--json")
    assert found.code == 0
    by_name = {line["topic"]: line for line in found.lines}
    assert by_name["ai.requests"]["schema_id"] == 1
    assert by_name["ai.requests"]["partitions"] == 2
    assert by_name["ai.cost-totals"]["retention"] == "last of each key"
    assert {"ai.calls.openai", "ai.calls.anthropic"} < by_name.keys()
    assert all(line["exists"] for line in found.lines)
    assert "ai.dispatch-changelog" in up.penstock("topics").out


def test_doctor_finds_everything_fine(up):
    found = up.penstock("doctor", "--json")
    wrong = [check for check in found.lines if check["level"] == "fail"]
    assert wrong == []
    assert found.code == 0
    names = {check["name"] for check in found.lines}
    assert {"kafka", "topics", "lanes", "cache", "schemas", "clock", "dead letters", "group penstock-intake"} <= names


def test_init_leaves_what_stands(up):
    assert up.penstock("init", "--json").json["created"] == []
    other = up.penstock("init", "--partitions", "5")
    assert other.code == 2
    assert "--partitions 2" in other.err


def test_a_second_up_on_the_same_data_is_refused(up):
    found = up.penstock("up")
    assert found.code == 2
    assert str(up.process.pid) in found.err


def test_a_port_that_is_taken_is_refused(up, tmp_path):
    stack = json.loads((up.data_dir / "stack.json").read_text())
    port = stack["bootstrap_servers"].rpartition(":")[2]
    found = subprocess.run(
        (*COMMAND, "up", "--data-dir", str(tmp_path / "other"), "--port", port),
        cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert found.returncode == 2
    assert f"port {port}" in found.stderr
    assert "Traceback" not in found.stderr


def test_verify_is_clean_after_all_of_this(up):
    found = up.penstock("verify", "--wait", "30", "--json", timeout_s=120)
    verdict = found.json
    assert verdict["problems"] == []
    assert verdict["ok"] is True
    assert found.code == 0
    assert verdict["provider_calls"] == verdict["calls_started"]
