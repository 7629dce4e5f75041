"""Providers, their health, a test of one; metrics; tables; what is told to whom."""

from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from processors.api.refusals import Refusal
from processors.health.fold import UNKNOWN
from schemas.calls import FailureKind, Output, Usage
from schemas.health import AlertRaised, AlertState
from schemas.ledger import CostTotal
from schemas.outcomes import DeadLetter, ErrorInfo, InferenceResponse, ResponseStatus
from schemas.requests import CacheMode, InferenceRequest, Operation
from streams import clock
from streams.edge.operations import Operations
from streams.edge.operations_tables import Tables
from streams.edge.principal import Refused
from tests.unit.edge.operations_door import Ready, client, door

NOW = datetime.now(UTC)
DOWN = replace(UNKNOWN, opened_at=NOW, down_since=NOW, opened_by=FailureKind.UNREACHABLE, in_flight=3, traffic_at=NOW)


def health(**deployments: Any) -> Ready:
    return Ready(SimpleNamespace(deployments={name.replace("__", "/"): each for name, each in deployments.items()}))


@pytest.fixture(autouse=True)
def _now(monkeypatch: pytest.MonkeyPatch) -> None:
    """A circuit that opened when the tests were collected must not be half open by the time they run."""
    monkeypatch.setattr(clock, "now", lambda: NOW)


class Asking:
    """Answers what is published with `final`, or refuses to wait any longer."""

    def __init__(self, final: InferenceResponse | None) -> None:
        self.final = final
        self.asked: list[InferenceRequest] = []
        self.headers: list[dict[str, str]] = []

    def waiting(self, request: InferenceRequest) -> Any:
        return nullcontext()

    async def publish(self, request: InferenceRequest, waiting: Any, headers: dict[str, str]) -> Any:
        self.asked.append(request)
        self.headers.append(headers)

        async def final() -> InferenceResponse:
            if self.final is None:
                raise Refused(Refusal(504, "expired", "no answer came"))
            return self.final

        return SimpleNamespace(final=final)


def answer(**changes: Any) -> InferenceResponse:
    response = InferenceResponse("r", "ops", True, ResponseStatus.OK, "auto", 1, "chat", "p@1", NOW, NOW)
    return replace(response, output=Output("ok"), usage=Usage(3, 1), cost_nanousd=1_500, deployment="openai/small", **changes)


def test_providers_are_those_with_deployments() -> None:
    told = client(door(), Operations(door(), health(openai__small=DOWN)).routes(), "acme").get("/v1/providers").json()
    assert told["catalogue"] == "v7"
    assert [(each["name"], each["status"]) for each in told["providers"]] == [("openai", "unheard"), ("voyage", "unheard")]
    assert [each["name"] for each in told["providers"][0]["deployments"]] == ["openai/small", "openai/large"]
    assert "address" not in str(told)


@pytest.mark.parametrize(
    ("known", "status"),
    [
        ({}, "unheard"),
        ({"openai__small": UNKNOWN}, "closed"),
        ({"openai__small": DOWN, "openai__large": UNKNOWN}, "closed"),
        ({"openai__small": DOWN, "openai__large": DOWN}, "open"),
        ({"openai__small": DOWN, "openai__large": replace(DOWN, opened_at=NOW - timedelta(seconds=90))}, "half_open"),
    ],
)
def test_a_provider_fares_as_its_best_deployment(known: dict[str, Any], status: str) -> None:
    told = client(door(), Operations(door(), health(**known)).routes()).get("/v1/providers/openai/health").json()
    assert told["status"] == status


def test_how_busy_all_tenants_are_is_for_admin_alone() -> None:
    routes = Operations(door(), health(openai__small=DOWN)).routes()
    seen = [client(door(), routes, key).get("/v1/providers/openai/health").json() for key in ("acme", "ops:admin")]
    assert [each["deployments"][0]["in_flight"] for each in seen] == [None, 3]
    assert [each["deployments"][0]["opened_by"] for each in seen] == ["unreachable", "unreachable"]


@pytest.mark.parametrize("path", ["/v1/providers/none/health", "/v1/providers/unused/health"])
def test_an_unknown_provider_is_404(path: str) -> None:
    assert client(door(), Operations(door(), health()).routes()).get(path).status_code == 404


def test_a_test_is_one_small_request_that_no_cache_answers() -> None:
    asking = Asking(answer())
    at = door(asking=asking)
    told = client(at, Operations(at, health()).routes(), "ops:admin").post("/v1/providers/openai/test").json()
    assert {name: told[name] for name in ("ok", "deployment", "cost_nanousd", "cost", "error")} == {
        "ok": True,
        "deployment": "openai/small",
        "cost_nanousd": 1_500,
        "cost": "$0.0000015",
        "error": None,
    }
    (asked,) = asking.asked
    assert (asked.tenant, asked.model, asked.preferences.provider) == ("ops", "auto", "openai")
    assert (asked.cache.mode, asked.sampling.max_output_tokens) == (CacheMode.OFF, 16)
    assert told["request_id"] == asked.request_id


def test_a_test_of_one_deployment_and_of_what_only_embeds() -> None:
    asking = Asking(answer())
    at = door(asking=asking)
    ops = client(at, Operations(at, health()).routes(), "ops:admin")
    assert ops.post("/v1/providers/openai/test", json={"deployment": "openai/large"}).status_code == 200
    assert ops.post("/v1/providers/voyage/test", headers={"x-penstock-timeout": "3"}).status_code == 200
    assert [(each.model, each.operation) for each in asking.asked] == [
        ("openai/large", Operation.CHAT),
        ("auto", Operation.EMBEDDINGS),
    ]
    assert asking.headers == [{"x-penstock-timeout": "30"}, {"x-penstock-timeout": "3"}]


@pytest.mark.parametrize(
    ("body", "status"), [(b'{"deployment": "voyage/vectors"}', 404), (b'{"model": "x"}', 400), (b"[", 400), (b"[]", 400)]
)
def test_what_cannot_be_tested_is_not_published(body: bytes, status: int) -> None:
    asking = Asking(answer())
    at = door(asking=asking)
    answered = client(at, Operations(at, health()).routes(), "ops:admin").post("/v1/providers/openai/test", content=body)
    assert (answered.status_code, asking.asked) == (status, [])


@pytest.mark.parametrize(
    ("final", "kind"),
    [
        (None, "expired"),
        (answer(status=ResponseStatus.ERROR, error=ErrorInfo("unauthorized", "the key is refused")), "unauthorized"),
    ],
)
def test_a_test_that_fails_says_why(final: InferenceResponse | None, kind: str) -> None:
    at = door(asking=Asking(final))
    answered = client(at, Operations(at, health()).routes(), "ops:admin").post("/v1/providers/openai/test")
    assert (answered.status_code, answered.json()["ok"], answered.json()["error"]["kind"]) == (200, False, kind)


def test_metrics_for_prometheus() -> None:
    told = client(door(), Operations(door(), health()).routes(), "ops:admin").get("/metrics")
    assert told.headers["content-type"].startswith("text/plain; version=")
    assert "python_gc_objects_collected_total" in told.text


@pytest.mark.parametrize(("method", "path"), [("GET", "/metrics"), ("POST", "/v1/providers/openai/test")])
def test_what_all_share_needs_admin(method: str, path: str) -> None:
    at = door(asking=Asking(answer()))
    routes = Operations(at, health()).routes()
    assert client(at, routes, "acme").request(method, path).status_code == 403
    assert client(at, routes, "").request(method, path).status_code == 401


# --- tables -------------------------------------------------------------------------------------------------------------


def tables(key: str = "acme") -> Any:
    spent = [CostTotal(f"t{n % 2}", "lane", "openai", f"m{n}", NOW, NOW, cost_nanousd=n) for n in range(250)]

    class Totals:
        async def by_key(self) -> dict[bytes, CostTotal]:
            return {f"{n:03d}".encode(): total for n, total in enumerate(spent)}

    letter = DeadLetter("ai.requests", 0, 7, "intake", "truncated", "too short", b"a secret prompt", 15, NOW, NOW)
    letters = SimpleNamespace(
        alerts=lambda: [AlertRaised("down", "openai/small", AlertState.RAISED, "critical", "m", "n", NOW, NOW)],
        dead_letters=lambda: [("1", replace(letter, tenant="t0")), ("2", replace(letter, tenant="t1")), ("3", letter)],
    )
    made = Tables(door(), Ready(Totals()), health(openai__small=DOWN), Ready(letters))  # type: ignore[arg-type]
    return client(door(), made.routes(), key)


def pages(reader: Any, path: str) -> list[Any]:
    rows: list[Any] = []
    after: str | None = ""
    while after is not None:
        told = reader.get(path, params={"limit": 100, **({"after": after} if after else {})}).json()
        assert len(told["rows"]) <= 100
        rows += told["rows"]
        after = told["next"]
    return rows


def test_a_table_in_pages_has_each_row_once() -> None:
    assert [row["cost_nanousd"] for row in pages(tables("ops:admin"), "/v1/tables/cost-totals")] == list(range(250))


def test_a_key_reads_its_own_rows() -> None:
    assert {row["tenant"] for row in pages(tables("t1"), "/v1/tables/cost-totals")} == {"t1"}
    assert tables("t1").get("/v1/tables/cost-totals?tenant=t0").status_code == 403
    assert [row["tenant"] for row in tables("t1").get("/v1/tables/dead-letters").json()["rows"]] == ["t1"]
    assert len(tables("ops:admin").get("/v1/tables/dead-letters").json()["rows"]) == 3


def test_what_was_put_aside_is_not_shown_itself() -> None:
    told = tables("ops:admin").get("/v1/tables/dead-letters")
    assert told.json()["rows"][0]["reason"] == "truncated"
    assert not {"value", "key", "headers"} & told.json()["rows"][0].keys()


def test_tables_that_a_key_may_read() -> None:
    assert {each["name"] for each in tables().get("/v1/tables").json()["tables"]} == {"cost-totals", "health", "dead-letters"}
    assert "alerts" in tables("ops:admin").get("/v1/tables").text
    assert tables().get("/v1/tables/alerts").status_code == 403
    assert tables("ops:admin").get("/v1/tables/alerts").json()["rows"][0]["kind"] == "down"
    assert tables().get("/v1/tables/health").json()["rows"][0]["in_flight"] is None


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("none", 404),
        ("health?limit=0", 400),
        ("health?limit=1001", 400),
        ("health?limit=x", 400),
        ("health?limit=9999999999", 400),
    ],
)
def test_a_page_that_cannot_be(path: str, status: int) -> None:
    assert tables().get(f"/v1/tables/{path}").status_code == status
