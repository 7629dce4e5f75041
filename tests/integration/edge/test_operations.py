"""The operators' paths on a running stack: figures that equal the ledger's, every route described, routing changed live."""

import json
import time
from itertools import count

import httpx
import pytest
from confluent_kafka.schema_registry import SchemaRegistryClient

from processors.api.openapi import UNDESCRIBED
from schemas.catalogue import builtin
from tests.integration.edge.conftest import Edge

pytestmark = [pytest.mark.stack, pytest.mark.timeout(240)]

ADMIN = ("admin", "read", "publish")
_NUMBERS = count()


def ask(client: httpx.Client, text: str = "Name a river.") -> httpx.Response:
    said = f"{text} {next(_NUMBERS)}"  # no cache answers it
    answer = client.post("/v1/chat/completions", json={"model": "auto", "messages": [{"role": "user", "content": said}]})
    assert answer.status_code == 200, answer.text
    return answer


def until(look, holds, within_s: float = 20.0):
    """What `look` gives once it holds: followers are a moment behind the log."""
    give_up = time.monotonic() + within_s
    while not holds(found := look()):
        assert time.monotonic() < give_up, found
        time.sleep(0.1)
    return found


def test_an_edge_that_serves_is_alive_and_ready(edge: Edge) -> None:
    assert httpx.get(f"{edge.url}/health/live").json() == {"status": "alive"}
    ready = httpx.get(f"{edge.url}/health/ready")
    assert (ready.status_code, ready.json()["checks"]) == (200, {"kafka": True, "answers": True, "keys": True})


def test_every_route_is_described(edge: Edge) -> None:
    told = httpx.get(f"{edge.url}/openapi.json").json()
    missing = told.get(UNDESCRIBED, [])
    assert not missing, f"mounted and not described in processors/api/openapi_*.py: {', '.join(missing)}"
    assert {"/v1/chat/completions", "/v1/messages", "/v1/requests", "/v1/costs"} <= told["paths"].keys()


def test_what_needs_no_key_is_what_the_document_says(edge: Edge) -> None:
    told = httpx.get(f"{edge.url}/openapi.json").json()
    with httpx.Client(base_url=edge.url) as nobody:
        for path, methods in told["paths"].items():
            if "get" in methods and "{" not in path:
                answer = nobody.get(path)
                wanted = 200 if methods["get"]["security"] == [] else 401
                assert answer.status_code == wanted, f"GET {path}: {answer.status_code}"


def test_costs_are_the_ledgers_to_the_nano_dollar(edge: Edge) -> None:
    with edge.client("costly") as client, edge.client("ops", *ADMIN) as ops:
        spent = sum(int(ask(client).headers["x-penstock-cost-nanousd"]) for _ in range(3))
        assert spent > 0

        def total() -> int:
            return int(client.get("/v1/costs").json()["total"]["cost_nanousd"])

        assert until(total, lambda nanousd: nanousd >= spent) == spent
        by_hour = client.get("/v1/costs", params={"by": "hour", "cumulative": "true"}).json()
        assert by_hour["rows"][-1]["cost_nanousd"] == spent
        assert client.get("/v1/costs", params={"tenant": "ops"}).status_code == 403

        def everybody() -> dict[str, int]:
            return {row["tenant"]: row["cost_nanousd"] for row in ops.get("/v1/costs?by=tenant").json()["rows"]}

        assert until(everybody, lambda told: told.get("costly") == spent)
    done = edge.penstock("costs", "--by", "tenant", "--json")
    assert done.code == 0, done.err
    told = {row["tenant"]: row["cost_nanousd"] for row in json.loads(done.out)["rows"]}
    assert told["costly"] == spent


def test_a_provider_is_tested_through_the_log_and_then_heard_of(edge: Edge) -> None:
    with edge.client("ops", *ADMIN) as ops:
        names = [each["name"] for each in ops.get("/v1/providers").json()["providers"]]
        told = ops.post("/v1/providers/openai/test").json()
        assert told["ok"], told
        assert (told["deployment"].split("/")[0], told["attempts"]) == ("openai", 1)
        assert told["cost_nanousd"] > 0
        until(
            lambda: ops.get(f"/v1/requests/{told['request_id']}").json(),
            lambda found: (found.get("cost") or {}).get("calls") == 1,
        )

        def heard() -> list[str]:
            rows = ops.get("/v1/providers/openai/health").json()["deployments"]
            return [row["deployment"] for row in rows if row["heard"]]

        assert told["deployment"] in until(heard, lambda found: told["deployment"] in found)
    assert "openai" in names


def test_tables_come_in_pages_and_by_tenant(edge: Edge) -> None:
    with edge.client("costly") as client:
        ask(client)
        rows = until(lambda: client.get("/v1/tables/cost-totals").json()["rows"], bool)
        assert {row["tenant"] for row in rows} == {"costly"}
        assert [each["name"] for each in client.get("/v1/tables").json()["tables"]] == ["cost-totals", "health", "dead-letters"]
        assert client.get("/v1/tables/dead-letters").status_code == 200


def test_metrics_need_admin(edge: Edge) -> None:
    with edge.client("ops", *ADMIN) as ops, edge.client("acme") as client:
        assert "python_gc_objects_collected_total" in ops.get("/metrics").text
        assert client.get("/metrics").status_code == 403


def test_a_confluent_client_takes_the_edge_for_its_registry(edge: Edge) -> None:
    with SchemaRegistryClient({"url": f"{edge.url}/schemas"}) as registry:
        assert registry.get_latest_version("ai.costs-value").schema_id == 6
        assert json.loads(registry.get_schema(6).schema_str) == json.loads(builtin()[6].text)


def test_routing_is_changed_while_everything_runs(edge: Edge) -> None:
    with edge.client("ops", *ADMIN) as ops, edge.client("routed") as client:

        def policy() -> str:
            body = {"messages": [{"role": "user", "content": f"Name a river. {next(_NUMBERS)}"}]}
            answer = client.post("/v1/requests", json=body, headers={"prefer": "wait=20"})
            assert answer.status_code == 200, answer.text
            return str(answer.json()["policy"])

        before = policy()
        section = {"policies": {"mine": {"preset": "latency"}}, "rules": [{"tenant": "routed", "policy": "mine"}]}
        refused = ops.put("/v1/config/routing", json={**section, "default": "nonsense"})
        assert (refused.status_code, "nonsense" in refused.json()["detail"]) == (422, True)
        changed = ops.put("/v1/config/routing", json=section)
        assert changed.status_code == 200, changed.text
        label = changed.json()["rules"][0]["policy"]["label"]
        try:
            until(policy, lambda found: found == label)
            shown = until(lambda: ops.get("/v1/config/routing").json(), lambda told: told["version"] == changed.json()["version"])
            assert shown["configured_by"].startswith("ops/")
        finally:
            assert ops.delete("/v1/config/routing").status_code == 200
        until(policy, lambda found: found == before)


@pytest.mark.parametrize("path", ["/docs", "/docs/topics"])
def test_pages_that_fetch_nothing(edge: Edge, path: str) -> None:
    page = httpx.get(f"{edge.url}{path}")
    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in page.headers["content-security-policy"]
