"""docker-compose.yml, Dockerfile and .dockerignore as data: what Docker would refuse or run wrongly is found without it."""

import fnmatch
import re
import shlex
from typing import Any

import pytest

from streams import topology
from streams.settings import Settings
from tests.contract.compose import ROOT, SERVICE_KEYS, TOP_LEVEL, interpolated, load, seconds, started
from tests.contract.wire_names import provider_variables, providers, setting_variables

CONTENT = load()
SERVICES: dict[str, dict[str, Any]] = CONTENT["services"]
OURS = {name: service for name, service in SERVICES.items() if service["image"].startswith("penstock:")}
WORKERS = {name: service for name, service in OURS.items() if service["command"][0] == "worker"}
SERVICE = pytest.mark.parametrize("name", SERVICES)
DOCKERFILE = (ROOT / "Dockerfile").read_text("utf-8")


def test_the_file_uses_only_known_keys() -> None:
    assert {key for key in CONTENT if not key.startswith("x-")} <= TOP_LEVEL
    assert {key for service in SERVICES.values() for key in service} <= SERVICE_KEYS


@SERVICE
def test_images_are_pinned_to_a_version(name: str) -> None:
    image, _, tag = SERVICES[name]["image"].partition(":")
    assert re.fullmatch(r"v?\d+\.\d+(\.\d+)?([-.][\w.-]+)?", tag), f"{image} has the tag {tag!r}"


def test_the_parts_of_the_design_are_there() -> None:
    images = {service["image"].partition(":")[0]: service["image"].partition(":")[2] for service in SERVICES.values()}
    assert images["apache/kafka"] == "4.3.1"
    assert "apicurio/apicurio-registry" in images
    assert int(images["valkey/valkey"].split(".")[0]) >= 8
    assert SERVICES["ollama"]["profiles"] == ["ollama"]


@SERVICE
def test_what_it_depends_on_exists_and_can_become_ready(name: str) -> None:
    for target, how in SERVICES[name].get("depends_on", {}).items():
        assert target in SERVICES
        if how["condition"] == "service_healthy":
            assert "test" in SERVICES[target]["healthcheck"], f"{target} has no health check to wait for"
        else:
            assert how["condition"] == "service_completed_successfully"
            assert SERVICES[target]["restart"] == "no", f"{target} must end for {name} to begin"


@SERVICE
@pytest.mark.parametrize("profiles", [set(), {"simulator"}, {"openai"}, {"ollama"}], ids=str)
def test_no_service_waits_for_one_that_is_not_started(name: str, profiles: set[str]) -> None:
    running = started(CONTENT, profiles)
    if name in running:
        assert set(running[name].get("depends_on", {})) <= set(running)


def test_dependencies_have_no_circle() -> None:
    done: set[str] = set()
    while len(done) < len(SERVICES):
        free = {name for name, service in SERVICES.items() if set(service.get("depends_on", {})) <= done} - done
        assert free, f"these wait for each other: {sorted(set(SERVICES) - done)}"
        done |= free


@SERVICE
def test_ports_are_published_on_loopback_alone(name: str) -> None:
    for port in SERVICES[name].get("ports", []):
        assert re.fullmatch(r"127\.0\.0\.1:\d+:\d+", port)


def test_no_two_services_publish_the_same_port() -> None:
    published = [port.split(":")[1] for service in SERVICES.values() for port in service.get("ports", [])]
    assert len(published) == len(set(published))


@SERVICE
def test_every_service_is_watched_bounded_and_restarted(name: str) -> None:
    service = SERVICES[name]
    limits = service["deploy"]["resources"]["limits"]
    assert re.fullmatch(r"\d+[MG]", limits["memory"])
    assert float(limits["cpus"]) > 0
    if name == "init":
        assert service["restart"] == "no"
        assert service["healthcheck"] == {"disable": True}
        return
    assert service["restart"] == "unless-stopped"
    check = service["healthcheck"]
    assert check["test"][0] in {"CMD", "CMD-SHELL"}
    assert seconds(check["timeout"]) <= seconds(check["interval"]) <= 30
    assert check["retries"] >= 2


@SERVICE
def test_volumes_are_declared_and_hold_what_must_last(name: str) -> None:
    for volume in SERVICES[name].get("volumes", []):
        source, target, *mode = volume.split(":")
        assert target.startswith("/")
        if source.startswith("./"):  # a folder of this repository: read, never written
            assert mode == ["ro"], volume
            assert (ROOT / source).is_dir(), volume
        else:
            assert source in CONTENT["volumes"]
            assert mode == []


def test_every_declared_volume_is_used() -> None:
    used = {volume.split(":")[0] for service in SERVICES.values() for volume in service.get("volumes", [])}
    assert set(CONTENT["volumes"]) == {source for source in used if not source.startswith("./")}


def test_kafkas_data_stands_in_its_volume() -> None:
    kafka = SERVICES["kafka"]
    (volume,) = kafka["volumes"]
    assert volume.split(":")[1] == kafka["environment"]["KAFKA_LOG_DIRS"]
    assert SERVICES["registry"]["environment"]["APICURIO_STORAGE_KIND"] == "kafkasql", "schema ids must outlive the registry"


def test_kafkas_listeners_fit_together() -> None:
    environment = SERVICES["kafka"]["environment"]
    listeners = dict(re.findall(r"(\w+)://[^:]*:(\d+)", environment["KAFKA_LISTENERS"]))
    advertised = dict(re.findall(r"(\w+)://([^,]+)", environment["KAFKA_ADVERTISED_LISTENERS"]))
    protocols = dict(pair.split(":") for pair in environment["KAFKA_LISTENER_SECURITY_PROTOCOL_MAP"].split(","))
    assert set(protocols) == set(listeners) == {*advertised, environment["KAFKA_CONTROLLER_LISTENER_NAMES"]}
    assert environment["KAFKA_INTER_BROKER_LISTENER_NAME"] in advertised
    assert advertised["INSIDE"] == f"kafka:{listeners['INSIDE']}"
    # A program on the host is sent to the address that it is told: it must be the published one.
    (published,) = SERVICES["kafka"]["ports"]
    host, outside, inside = published.split(":")
    assert advertised["HOST"] == f"{host}:{outside}"
    assert listeners["HOST"] == inside
    voters = environment["KAFKA_CONTROLLER_QUORUM_VOTERS"]
    assert voters == f"{environment['KAFKA_NODE_ID']}@kafka:{listeners['CONTROLLER']}"
    assert environment["KAFKA_AUTO_CREATE_TOPICS_ENABLE"] == "false"
    for name, value in environment.items():
        if name.endswith(("REPLICATION_FACTOR", "MIN_ISR")):
            assert value == 1, f"one node cannot keep {name}={value}"


def test_every_role_runs() -> None:
    """With the simulator every role; with one provider that provider's."""
    roles = {name.replace(topology.ANY_PROVIDER, provider) for name in topology.roles() for provider in providers()}
    assert {service["command"][2] for service in WORKERS.values()} == roles
    assert all(service["command"][:2] == ["worker", "--role"] for service in WORKERS.values())
    assert set(WORKERS) <= set(started(CONTENT, {"simulator"}))
    for provider in providers():
        calling = {n for n in started(CONTENT, {provider}) if n.startswith("calls-")}
        assert calling == {f"calls-{provider}"}
        assert WORKERS[f"calls-{provider}"]["command"][2] == f"calls:{provider}"


@pytest.mark.parametrize("name", OURS)
def test_environment_variables_are_known(name: str) -> None:
    known = {*setting_variables().values(), *provider_variables(), "PENSTOCK_READY_FILE"}
    assert set(OURS[name]["environment"]) <= known


@pytest.mark.parametrize("name", OURS)
def test_addresses_name_services_and_the_ports_they_listen_on(name: str) -> None:
    listening = {
        "kafka": "19092",
        "registry": "8080",
        "valkey": "6379",
        "simulator": SERVICES["simulator"]["command"][SERVICES["simulator"]["command"].index("--port") + 1],
    }
    environment = OURS[name]["environment"]
    found = re.findall(r"(?:^|//)([a-z]+):(\d+)", "\n".join(map(str, environment.values())), re.MULTILINE)
    assert dict(found) == listening
    assert environment["SCHEMA_REGISTRY_URL"].endswith("/apis/ccompat/v7")


def test_the_settings_accept_what_compose_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in setting_variables().values():
        monkeypatch.delenv(variable, raising=False)
    for name, value in OURS["intake"]["environment"].items():
        monkeypatch.setenv(name, str(value))
    settings = Settings(_env_file=None)
    assert settings.bootstrap_servers == "kafka:19092"
    assert settings.simulator_url == "http://simulator:8089"


def test_with_the_simulator_url_emptied_the_real_providers_are_called(monkeypatch: pytest.MonkeyPatch) -> None:
    environment = load({"COMPOSE_SIMULATOR_URL": ""})["services"]["intake"]["environment"]
    monkeypatch.setenv("PENSTOCK_SIMULATOR_URL", environment["PENSTOCK_SIMULATOR_URL"] or "")
    assert Settings(_env_file=None).simulator_url is None


def test_our_containers_have_few_rights_and_time_to_drain() -> None:
    for name, service in OURS.items():
        assert service["read_only"] is True, name
    for name in (*OURS, "prometheus", "grafana"):
        assert SERVICES[name]["cap_drop"] == ["ALL"], name
        assert SERVICES[name]["security_opt"] == ["no-new-privileges:true"], name
    grace_s = min(seconds(service["stop_grace_period"]) for service in WORKERS.values())
    assert grace_s > Settings.model_fields["drain_timeout_s"].default


def test_a_role_is_healthy_when_its_ready_file_stands() -> None:
    for name, service in WORKERS.items():
        ready_file = service["environment"]["PENSTOCK_READY_FILE"]
        assert service["healthcheck"]["test"] == ["CMD", "test", "-f", ready_file], name
        # In memory, so that a restarted container begins without it.
        assert any(mount.split(":")[0] == ready_file.rsplit("/", 1)[0] for mount in service["tmpfs"]), name


def test_secrets_come_from_the_users_file_alone() -> None:
    text = (ROOT / "docker-compose.yml").read_text("utf-8")
    assert not re.search(r"(?i)(api_key|password|secret)\s*[:=]\s*\S", text)
    assert all(service["env_file"] == [{"path": ".env", "required": False}] for service in OURS.values())
    assert ".env" in (ROOT / ".gitignore").read_text("utf-8").split()


def test_the_roles_that_open_the_answer_cache_share_a_secret_that_no_example_holds() -> None:
    """Their file systems are read-only: without a volume none could be made.

    An empty volume takes its owner from the image when it is first mounted: by `init`, alone.
    """
    data_dir = OURS["init"]["environment"]["PENSTOCK_DATA_DIR"]
    sharing = {name for name, service in OURS.items() if f"cache-seal:{data_dir}" in service.get("volumes", [])}
    assert sharing == {"init", "intake", "tables", "edge", "webhooks"}, "the last two have the secret of keys and webhooks there"
    assert all(OURS[name]["depends_on"]["init"]["condition"] == "service_completed_successfully" for name in sharing - {"init"})
    assert f"--home-dir {data_dir}" in DOCKERFILE
    assert re.search(rf"install --directory --owner penstock --group penstock {data_dir} ", DOCKERFILE), "it must be theirs"
    assert not any("PENSTOCK_CACHE_SECRET" in service["environment"] for service in OURS.values()), ".env must win"
    assert re.search(r"(?m)^# PENSTOCK_CACHE_SECRET=$", (ROOT / ".env.example").read_text("utf-8"))


def test_who_opens_the_answer_cache() -> None:
    """What the test before this one takes for granted."""
    importing = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "streams").rglob("*.py")
        if re.search(r"^from streams\.stores\.(?:valkey_cache|secret) import ", path.read_text("utf-8"), re.MULTILINE)
    }
    assert importing == {
        "streams/agents/intake.py", "streams/agents/tables.py", "streams/agents/cache_fill.py",
        "streams/stores/valkey_cache.py", "streams/cli/caching.py",
        "streams/edge/role.py", "streams/edge/webhooks.py", "streams/webhooks/role.py", "streams/cli/keeping_keys.py",
        "streams/agents/semantic_judge.py",
    }  # fmt: skip


def test_interpolation_knows_unset_from_empty() -> None:
    assert interpolated("${A-x}${A:-y}", {}) == "xy"
    assert interpolated("${A-x}${A:-y}", {"A": ""}) == "y"
    assert interpolated("$$${A-x}", {"A": "1"}) == "$1"


# --- the image ----------------------------------------------------------------------------------------------------------


def instructions() -> list[tuple[str, str]]:
    lines = re.sub(r"\\\n\s*", " ", re.sub(r"(?m)^#.*\n", "", DOCKERFILE)).splitlines()
    return [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in lines if line.strip())]


def test_the_image_is_built_in_two_stages_from_one_pinned_base() -> None:
    bases = [rest.split()[0] for word, rest in instructions() if word == "FROM"]
    assert len(bases) == 2
    assert len(set(bases)) == 1
    assert re.fullmatch(r"python:3\.1[1-9]\.\d+-slim-\w+", bases[0])


def test_the_image_runs_penstock_as_nobody_special() -> None:
    last = dict(instructions())
    assert last["ENTRYPOINT"] == '["penstock"]'
    uid, gid = last["USER"].split(":")
    assert int(uid) > 1000
    assert int(gid) > 1000
    ready_file = re.search(r"PENSTOCK_READY_FILE=(\S+)", last["ENV"])
    assert ready_file is not None
    assert ready_file[1] == OURS["intake"]["environment"]["PENSTOCK_READY_FILE"]


def test_every_package_of_the_image_is_checked_by_its_hash() -> None:
    for word, rest in instructions():
        for command in rest.split("&&") if word == "RUN" else ():
            words = shlex.split(command)
            if "install" in words and words[0].endswith("/pip"):
                assert "--require-hashes" in words or {"--no-deps", "--no-index"} <= set(words), command


def test_what_the_image_copies_exists_and_is_let_in() -> None:
    rules = [line for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines() if line and not line.startswith("#")]
    assert rules[0] == "*", "nothing enters but what is named"
    let_in = {rule[1:] for rule in rules if rule.startswith("!")}
    for word, rest in instructions():
        if word == "COPY" and not rest.startswith("--from"):
            for source in rest.split()[:-1]:
                assert (ROOT / source).exists(), source
                assert any(fnmatch.fnmatch(source, rule) for rule in let_in), f"{source} is kept out by .dockerignore"
    assert not any(rule.startswith(".env") for rule in let_in)


def test_what_the_image_leaves_out_is_what_the_embedded_services_need() -> None:
    left_out = re.search(r"pip uninstall --yes ([a-z0-9 ]+jdk[a-z0-9 ]+)", DOCKERFILE)
    assert left_out is not None
    pinned = (ROOT / "requirements" / "base.txt").read_text("utf-8")
    for package in left_out[1].split():
        assert re.search(rf"^{package}==", pinned, re.MULTILINE), f"{package} is not installed in the first place"
