"""The routing in force: shown, changed, withdrawn, refused; and followed by whoever routes."""

import json
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError

from processors.route.catalogue import parse
from schemas.configuration import RoutingConfigured
from schemas.errors import SettingsError
from schemas.policies import Experiment, Policy, Routing
from schemas.serde import Serde
from streams import topics
from streams.agents.routing_in_force import KEY, RoutingInForce, routing_of
from streams.edge.config import ROUTING, Config
from tests.unit.edge.operations_door import Ready, client, door

SECTION = {
    "default": "trial",
    "policies": {
        "mine": {"preset": "cheapest", "hedge": "p95"},
        "trial": {"arms": {"a": {"weight": 1, "policy": "mine"}, "b": {"weight": 3, "policy": "latency"}}},
    },
    "rules": [{"tenant": "acme", "policy": "mine", "filters": {"max_cost_usd": 0.01, "only": ["openai", "nobody"]}}],
}
FILE = {
    "providers": {"openai": {"kind": "openai", "address": "http://openai"}},
    "deployments": [{"provider": "openai", "model": "small"}],
    "routing": {"default": "latency"},
}


class Log:
    """The topic and its follower in one: what is published is applied at once. `away`: it takes nothing."""

    def __init__(self) -> None:
        self.at = door()
        self.at.runtime.catalogue = parse(FILE, source="a test")
        self.at.runtime.publisher = self
        self.used: list[Routing] = []
        self.in_force = RoutingInForce(self.at.runtime, self._use)
        self.offset = 0
        self.away = False
        self.unusable = False

    def _use(self, routing: Routing) -> None:
        if self.unusable:
            raise SettingsError("not here")
        self.used.append(routing)

    async def send_all(self, records: list[Any]) -> None:
        if self.away:
            raise KafkaConnectionError
        for record in records:
            assert (record.topic, record.key) == (topics.CONFIG, KEY)
            self.read(record.value)

    def read(self, value: bytes | None, key: bytes = KEY.encode()) -> None:
        self.offset += 1
        self.in_force._apply(SimpleNamespace(key=key, value=value, offset=self.offset, topic=topics.CONFIG, partition=0))
        self.in_force._settle()

    def client(self, key: str = "ops:admin") -> Any:
        return client(self.at, Config(self.at, Ready(self.in_force)).routes(), key)  # type: ignore[arg-type]


def label(chosen: Policy | Experiment) -> str:
    return chosen.label.partition("@")[0] if isinstance(chosen, Policy) else "experiment"


def test_the_files_word_holds_before_anybody_says_another() -> None:
    told = Log().client().get(ROUTING).json()
    assert (told["version"], told["given"], told["default"]["label"].partition("@")[0]) == (None, None, "latency")
    assert "deployments" in told["not_changeable"]


def test_a_change_holds_at_once_and_says_what_it_means() -> None:
    log = Log()
    told = log.client().put(ROUTING, json=SECTION).json()
    arms = told["default"]["experiment"]["arms"]
    assert [(arm["name"], arm["weight"], arm["policy"]["label"].partition("@")[0]) for arm in arms] == [
        ("a", 1.0, "mine"),
        ("b", 3.0, "latency"),
    ]
    assert (arms[0]["policy"]["hedge"], told["given"], told["source"]) == ("p95", SECTION, "PUT /v1/config/routing")
    (rule,) = told["rules"]
    assert (rule["if"], rule["policy"]["filters"]["max_cost_nanousd"]) == ({"tenant": ["acme"]}, 10_000_000)
    assert ["nobody" in warning for warning in told["warnings"]] == [True]
    assert told["configured_by"] == "ops/ops:admin"
    assert log.client().get(ROUTING).json()["version"] == told["version"]
    assert [label(routing.default) for routing in log.used] == ["experiment"]


def test_withdrawn_the_files_word_holds_again() -> None:
    log = Log()
    first = log.client().put(ROUTING, json={"default": "cheapest"}).json()["version"]
    second = log.client().put(ROUTING, json={"default": "least-busy"}).json()["version"]
    assert first < second
    told = log.client().delete(ROUTING)
    assert (told.status_code, told.json()["version"]) == (200, None)
    assert [label(routing.default) for routing in log.used] == ["cheapest", "least-busy", "latency"]
    assert log.client().delete(ROUTING).status_code == 200


@pytest.mark.parametrize(
    ("section", "status", "word"),
    [
        ({"default": "nonsense"}, 422, "nonsense"),
        ({"defaults": "cheapest"}, 422, "defaults"),
        ({"default": "environment"}, 422, "PENSTOCK_ENVIRONMENT"),
        ({"policies": {"mine": {"preset": "cheapest", "hedge": -1}}}, 422, "hedge"),
        ({"rules": [{"policy": "cheapest", "filters": {"max_cost_usd": "a lot"}}]}, 422, "max_cost_usd"),
        ({"policies": {"x": {"scorers": {"price": 1e400}}}}, 400, "infinity"),
        ([], 400, "object"),
    ],
)
def test_what_cannot_be_used_changes_nothing(section: Any, status: int, word: str) -> None:
    log = Log()
    answer = log.client().put(ROUTING, content=_json(section))
    assert (answer.status_code, word in answer.json()["detail"]) == (status, True), answer.text
    assert (log.used, log.offset) == ([], 0)


def _json(value: Any) -> bytes:
    return json.dumps(value).replace("Infinity", "1e400").encode()


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_it_is_for_admin_alone(method: str) -> None:
    log = Log()
    assert log.client("acme").request(method, ROUTING, content=b"{}").status_code == 403
    assert log.client("").request(method, ROUTING, content=b"{}").status_code == 401
    assert log.offset == 0


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_while_the_log_is_away_nothing_is_promised(method: str) -> None:
    log = Log()
    log.away = True
    answer = log.client().request(method, ROUTING, content=b"{}")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")


def test_what_one_process_cannot_use_leaves_it_as_it_was() -> None:
    log = Log()
    log.client().put(ROUTING, json={"default": "cheapest"})
    held = log.in_force.configured
    log.unusable = True
    log.read(Serde().encode(_record('{"default": "least-busy"}')))
    assert log.in_force.configured == held
    log.unusable = False
    log.read(Serde().encode(_record('{"default": "least-used"}')))
    assert label(log.in_force.routing.default) == "least-used"


@pytest.mark.parametrize("value", [b"", b"\0\0\0\0\x16", b"\0\0\0\0\x01abc"])
def test_what_cannot_be_read_leaves_it_as_it_was(value: bytes) -> None:
    log = Log()
    log.client().put(ROUTING, json={"default": "cheapest"})
    log.read(value)
    log.read(Serde().encode(_record('{"default": "least-used"}')), key=b"something else")
    assert label(log.in_force.routing.default) == "cheapest"


def _record(text: str) -> Any:
    return RoutingConfigured(f"cfg-{text}", text, datetime.now(UTC), "ops/k")


def test_a_section_that_is_no_json_is_told() -> None:
    with pytest.raises(SettingsError, match="no JSON"):
        routing_of("{")
