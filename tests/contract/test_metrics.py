"""Names of metrics are an interface: dashboards and rules know them. Those of deploy/ name only what is exported."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.metrics_core import Metric
from typer.main import get_command

from streams import metrics
from streams.cli.main import app
from tests.contract import promql
from tests.contract.compose import ROOT, load

DEPLOY = ROOT / "deploy"
CALL = ("gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model")

NAMES = {
    "gen_ai_client_operation_duration_seconds": ("histogram", (*CALL, "error_type")),
    "gen_ai_client_token_usage": ("histogram", (*CALL, "gen_ai_token_type")),
    "gen_ai_client_operation_time_to_first_chunk_seconds": ("histogram", CALL),
    "ai_prediction_duration_seconds": ("histogram", ("provider", "model")),
    "ai_predictions_total": ("counter", ("provider", "model", "status")),
    "ai_model_accuracy": ("gauge", ("model",)),
    "ai_system_resources": ("gauge", ("resource",)),
    "penstock_request_duration_seconds": ("histogram", ("status", "cache")),
    "penstock_requests_routed_total": ("counter", ("operation", "task_kind", "policy", "outcome")),
    "penstock_calls_in_flight": ("gauge", ("deployment",)),
    "penstock_open_requests": ("gauge", ("partition", "phase")),
    "penstock_open_calls": ("gauge", ("partition",)),
    "penstock_cost_nanousd_total": ("counter", ("provider", "model")),
    "penstock_avoided_nanousd_total": ("counter", ()),
    "penstock_cost_events_total": ("counter", ("kind", "flag")),
    "penstock_cache_look_ups_total": ("counter", ("tier",)),
    "penstock_dead_letters_total": ("counter", ("stage", "reason")),
    "penstock_webhook_deliveries_total": ("counter", ("outcome",)),
    "penstock_webhooks_waiting": ("gauge", ()),
}
"""By hand. Changing one is a migration: whoever has dashboards of their own must change them."""

NOT_SHOWN = {"ai_prediction_duration_seconds"}
"""Kept for dashboards that know it; ours shows the same from `gen_ai_client_operation_duration_seconds`."""

FROM_PROMETHEUS = {"up": ("job", "role", "instance"), "ALERTS": ("alertname", "alertstate", "severity")}
ADDED_BY_PROMETHEUS = {"job", "role", "instance", "le"}


def exported() -> Iterator[tuple[str, str, tuple[str, ...]]]:
    for wrapper in vars(metrics).values():
        if isinstance(wrapper, MetricWrapperBase):
            yield f"{wrapper._name}{'_total' * (wrapper._type == 'counter')}", wrapper._type, wrapper._labelnames
    for family in metrics._Resources().collect():
        assert isinstance(family, Metric)
        yield family.name, family.type, tuple(family.samples[0].labels)


def test_the_names_are_those_that_are_known() -> None:
    assert {name: (kind, labels) for name, kind, labels in exported()} == NAMES


def test_no_label_holds_a_tenant_a_user_or_a_request() -> None:
    labels = {label for _, _, names in exported() for label in names}
    assert not labels & {"tenant", "user", "request_id", "lane", "call_id", "session_id"}


def test_the_buckets_are_those_of_the_conventions() -> None:
    def bounds(histogram: Any) -> list[float]:
        return list(histogram._upper_bounds[:-1])

    durations = [0.01 * 2**n for n in range(14)]
    assert bounds(metrics.CALL_DURATION) == pytest.approx(durations)
    assert bounds(metrics.PREDICTION_DURATION) == bounds(metrics.CALL_DURATION)
    assert bounds(metrics.CALL_TOKENS) == [4**n for n in range(14)]
    assert bounds(metrics.FIRST_TOKEN)[0] == 0.001
    assert bounds(metrics.FIRST_TOKEN)[-1] == 10.0
    assert set(bounds(metrics.CALL_DURATION)) < set(bounds(metrics.REQUEST_DURATION))
    assert bounds(metrics.REQUEST_DURATION)[-1] >= 600, "the default deadline must have a bucket above it"


def series() -> dict[str, tuple[str, ...]]:
    """What Prometheus stores, with its labels."""
    found = dict(FROM_PROMETHEUS)
    for name, (kind, labels) in NAMES.items():
        for suffix in ("_bucket", "_sum", "_count") if kind == "histogram" else ("",):
            found[f"{name}{suffix}"] = labels
    return found


DASHBOARDS = sorted((DEPLOY / "grafana" / "dashboards").glob("*.json"))
BOARDS: dict[str, dict[str, Any]] = {path.name: json.loads(path.read_text("utf-8")) for path in DASHBOARDS}
RULES: list[dict[str, Any]] = [
    rule
    for group in yaml.safe_load((DEPLOY / "prometheus" / "alerts.yml").read_text("utf-8"))["groups"]
    for rule in group["rules"]
]
PROMETHEUS = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text("utf-8"))


def expressions() -> list[tuple[str, str]]:
    """Where, and what is asked there."""
    found = [(f"{name}: {panel['title']}", target["expr"]) for name, panel, target in targets()]
    return found + [(f"alerts.yml: {rule['alert']}", rule["expr"]) for rule in RULES]


def targets() -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    for name, board in BOARDS.items():
        for panel in board["panels"]:
            for target in panel.get("targets", ()):
                yield name, panel, target


@pytest.mark.parametrize(("where", "expression"), expressions(), ids=[where for where, _ in expressions()])
def test_what_is_asked_for_is_exported(where: str, expression: str) -> None:
    known = series()
    named = promql.metrics(expression)
    assert named, where
    assert named <= set(known)
    for name, label in promql.matched(expression):
        assert label in {*known[name], *ADDED_BY_PROMETHEUS}, f"{name} has no label {label}"
    labels = {label for name in named for label in known[name]}
    assert promql.grouped(expression) <= labels | ADDED_BY_PROMETHEUS


def test_everything_that_is_exported_is_shown() -> None:
    shown = {name for _, _, target in targets() for name in promql.metrics(target["expr"])}
    stored = series()
    for name in NAMES.keys() - NOT_SHOWN:
        assert {s for s in stored if s.removesuffix("_bucket").removesuffix("_count").removesuffix("_sum") == name} & shown, name


# --- the dashboard ------------------------------------------------------------------------------------------------------


def test_there_is_a_dashboard() -> None:
    assert set(BOARDS) == {"penstock.json"}
    ids = [board["uid"] for board in BOARDS.values()]
    assert all(re.fullmatch(r"[a-zA-Z0-9_-]{1,40}", uid) for uid in ids)


@pytest.mark.parametrize("name", BOARDS)
def test_panels_have_ids_of_their_own_and_do_not_overlap(name: str) -> None:
    panels = BOARDS[name]["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells: dict[tuple[int, int], str] = {}
    for panel in panels:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24, panel["title"]
        for cell in ((x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])):
            assert cells.setdefault(cell, panel["title"]) == panel["title"]


@pytest.mark.parametrize("name", BOARDS)
def test_every_data_source_is_the_one_that_is_provisioned(name: str) -> None:
    (source,) = yaml.safe_load((DEPLOY / "grafana" / "provisioning" / "datasources" / "prometheus.yml").read_text())[
        "datasources"
    ]
    assert source["isDefault"] is True
    named = [panel["datasource"] for panel in BOARDS[name]["panels"] if panel["type"] != "row"]
    named += [target["datasource"] for _, _, target in targets()]
    named += [variable["datasource"] for variable in BOARDS[name]["templating"]["list"]]
    assert {(reference["type"], reference["uid"]) for reference in named} == {(source["type"], source["uid"])}
    host, port = re.fullmatch(r"http://(\w+):(\d+)", source["url"]).groups()  # type: ignore[union-attr]
    assert load()["services"][host]["ports"][0].endswith(f":{port}")
    assert source["jsonData"]["timeInterval"] == PROMETHEUS["global"]["scrape_interval"]


@pytest.mark.parametrize("name", BOARDS)
def test_provider_and_model_can_be_chosen_and_every_choice_is_used(name: str) -> None:
    variables = {variable["name"]: variable for variable in BOARDS[name]["templating"]["list"]}
    assert list(variables) == ["provider", "model"]
    asked = " ".join(target["expr"] for _, _, target in targets())
    used = set(re.findall(r"\$(\w+)", asked)) - {"__rate_interval", "__range"}
    assert used == set(variables)
    for variable in variables.values():
        # `.*` and not the list of values: a series that has no value yet, or an empty one, is part of all.
        assert variable["allValue"] == ".*"
        expression, label = re.fullmatch(r"label_values\((.*), (\w+)\)", variable["query"]["query"]).groups()  # type: ignore[union-attr]
        (metric,) = promql.metrics(expression)
        assert label in NAMES[metric][1]


def test_several_values_of_a_choice_are_matched_as_an_expression() -> None:
    for _, panel, target in targets():
        assert not re.search(r'!?="\$', target["expr"]), panel["title"]


# --- the rules ----------------------------------------------------------------------------------------------------------


def test_the_rules_are_those_that_are_promised() -> None:
    assert [rule["alert"] for rule in RULES] == [
        "ProviderDown", "RequestsSlow", "CallsSlow", "RequestsFailing", "CallsFailing", "UnknownPrice", "DeadLetters",
        "WebhooksGivenUp", "OpenRequestsGrow", "RoleAbsent",
    ]  # fmt: skip


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_every_rule_says_what_is_so_and_what_to_do_next(rule: dict[str, Any]) -> None:
    assert set(rule) <= {"alert", "expr", "for", "keep_firing_for", "labels", "annotations"}
    assert rule["labels"]["severity"] in {"info", "warning", "critical"}
    assert len(rule["annotations"]["summary"]) > 20
    assert len(rule["annotations"]["next_step"]) > 40
    known: dict[str, Any] = get_command(app).commands  # type: ignore[attr-defined]
    for command in re.findall(r"`penstock (\w+)", rule["annotations"]["next_step"]):
        assert command in known
    for label in re.findall(r"\$labels\.(\w+)", " ".join(rule["annotations"].values())):
        assert label in promql.grouped(rule["expr"]), f"{label} is not on the alert"


def test_kinds_and_statuses_that_rules_name_exist() -> None:
    from schemas.calls import FailureKind  # noqa: PLC0415 - only here
    from schemas.outcomes import ResponseStatus  # noqa: PLC0415

    known = {*FailureKind, *ResponseStatus, "success"}
    for where, expression in expressions():
        for values in re.findall(r'status!?=~?"([^"]+)"', expression):
            assert set(values.split("|")) <= known, where


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not on PATH; the prometheus container has it")
def test_the_rules_tell_what_their_cases_say() -> None:
    ran = subprocess.run(
        ["promtool", "test", "rules", DEPLOY / "prometheus" / "alerts_test.yml"], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_every_rule_has_a_case() -> None:
    cases = (DEPLOY / "prometheus" / "alerts_test.yml").read_text("utf-8")
    patterns = re.findall(r'alertname=~?"([^"]+)"', cases) + re.findall(r"alertname: (\w+)", cases)
    for rule in RULES:
        assert any(re.fullmatch(pattern, rule["alert"]) for pattern in patterns), rule["alert"]


# --- who is read --------------------------------------------------------------------------------------------------------


def test_every_role_is_read_where_it_serves() -> None:
    services = load()["services"]
    (job,) = PROMETHEUS["scrape_configs"]
    (found,) = job["dns_sd_configs"]
    named, spelling = job["relabel_configs"]
    assert (named["source_labels"], named["target_label"]) == (["__meta_dns_name"], "role")
    roles = {name: service for name, service in services.items() if service.get("command", [""])[0] == "worker"}
    assert set(found["names"]) == set(roles)
    for name, service in roles.items():
        assert service["environment"]["PENSTOCK_METRICS_PORT"] == found["port"]
        assert service["environment"]["PENSTOCK_METRICS_ADDRESS"] == "0.0.0.0"
        assert all(not port.endswith(f":{found['port']}") for port in service.get("ports", ())), "metrics have no lock"
        assert re.sub(spelling["regex"], spelling["replacement"].replace("$1", r"\1"), name) == service["command"][2]
    assert {role for rule in RULES for role in re.findall(r'role="(\w+)"', rule["expr"])} == {
        name for name, service in roles.items() if "profiles" not in service and name not in {"edge", "webhooks"}
    }, "without the edge requests come and go over Kafka, and without webhooks nobody is called"


def test_what_is_mounted_is_what_the_containers_look_for() -> None:
    services = load()["services"]
    mounts = dict(volume.split(":")[:2] for name in ("prometheus", "grafana") for volume in services[name]["volumes"])
    assert f"--config.file={mounts['./deploy/prometheus']}/prometheus.yml" in services["prometheus"]["command"]
    assert all((DEPLOY / "prometheus" / file).is_file() for file in PROMETHEUS["rule_files"])
    assert mounts["./deploy/grafana/provisioning"] == "/etc/grafana/provisioning", "where the image looks"
    providers = yaml.safe_load((DEPLOY / "grafana" / "provisioning" / "dashboards" / "penstock.yml").read_text())["providers"]
    assert [provider["options"]["path"] for provider in providers] == [mounts["./deploy/grafana/dashboards"]]
    home = services["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert home == f"{mounts['./deploy/grafana/dashboards']}/{DASHBOARDS[0].name}"


def test_whoever_looks_at_the_dashboard_can_change_nothing() -> None:
    environment = load()["services"]["grafana"]["environment"]
    assert environment["GF_AUTH_ANONYMOUS_ORG_ROLE"] == "Viewer"
    assert environment["GF_SECURITY_DISABLE_INITIAL_ADMIN_CREATION"] == "true", "its default password is known to all"
    assert environment["GF_AUTH_BASIC_ENABLED"] == environment["GF_AUTH_DISABLE_LOGIN_FORM"].replace("true", "false")


# --- the page -----------------------------------------------------------------------------------------------------------


def test_the_page_lists_every_metric_with_its_labels_and_every_rule() -> None:
    text = (ROOT / "docs" / "metrics.md").read_text("utf-8")
    rows = dict(re.findall(r"^\| `([a-z_]+)` \| (.*?) \|", text, re.MULTILINE))
    assert {name: tuple(re.findall(r"`(\w+)`", labels)) for name, labels in rows.items()} == {
        name: labels for name, (_, labels) in NAMES.items()
    }
    assert re.findall(r"^\| `([A-Z]\w+)` \|", text, re.MULTILINE) == [rule["alert"] for rule in RULES]
