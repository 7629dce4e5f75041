"""Names that leave the process do not change by accident: a changed topic, group or id is a migration, not a refactoring."""

import json
import re
from pathlib import Path

import pytest

from schemas.catalogue import builtin
from streams import topics
from streams.settings import Settings
from tests.contract.wire_names import ROOT, names, provider_variables, providers, setting_variables

SNAPSHOT = json.loads((Path(__file__).parent / "wire_names.json").read_text("utf-8"))
NOW = names()


@pytest.mark.parametrize("kind", sorted(NOW))
def test_names_are_those_of_the_snapshot(kind: str) -> None:
    assert NOW[kind] == SNAPSHOT.get(kind), (
        f"{kind} changed: running deployments know the old names. If that is meant, describe the migration in CHANGELOG.md and "
        "write the snapshot anew (see wire_names.py)"
    )


def test_the_snapshot_has_no_kind_that_nobody_collects() -> None:
    assert set(SNAPSHOT) == set(NOW)


def test_schema_ids_are_those_that_stand_in_logs() -> None:
    """Append-only: an id that was given is never given to another schema."""
    given = {int(i): name for i, name in SNAPSHOT["schemas"].items()}
    assert {i: f"ai.penstock.v{s.version}.{s.name}" for i, s in builtin().items() if i in given} == given
    assert len(set(given.values())) == len(given)


def test_names_fit_kafka() -> None:
    """Letters, digits, dot, underscore and hyphen, at most 249 (`org.apache.kafka.common.internals.Topic`)."""
    for name in SNAPSHOT["topics"]:
        assert re.fullmatch(r"[a-zA-Z0-9._-]{1,249}", name)
    # Kafka's metrics write '.' as '_': two topics must not differ by that alone.
    assert len({name.replace(".", "_") for name in SNAPSHOT["topics"]}) == len(SNAPSHOT["topics"])


def test_another_app_name_moves_every_group_and_transactional_id() -> None:
    """Two Penstocks on one Kafka share neither."""
    mine, yours = Settings(_env_file=None), Settings(_env_file=None, app="other")
    for role in SNAPSHOT["roles"]:
        assert mine.group(role) != yours.group(role)
    assert mine.transactional_id(0) != yours.transactional_id(0)
    assert mine.transactional_id(0) != mine.transactional_id(1)


def test_every_variable_is_documented_with_its_default() -> None:
    """.env.example has a line for each setting and each provider variable, and no other."""
    text = (ROOT / ".env.example").read_text("utf-8")
    lines = dict(re.findall(r"^(?:# )?([A-Z][A-Z0-9_]+)=(.*)$", text, re.MULTILINE))
    compose_alone = {"COMPOSE_PROFILES", "COMPOSE_SIMULATOR_URL"}
    variables = setting_variables()
    assert set(lines) == {*variables.values(), *provider_variables(), *compose_alone}
    for name, variable in variables.items():
        default = Settings.model_fields[name].default
        if default is None:
            continue
        shown = str(default).lower() if isinstance(default, bool) else str(default)
        assert lines[variable] == shown, f"{variable} shows {lines[variable]!r}, the default is {shown!r}"


def test_the_example_file_changes_no_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Copied as it stands, it means the defaults: whatever it sets is for docker compose."""
    for variable in (*setting_variables().values(), *provider_variables()):
        monkeypatch.delenv(variable, raising=False)
    assert Settings(_env_file=ROOT / ".env.example") == Settings(_env_file=None)


def test_a_variable_set_to_nothing_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """`NAME=` in .env or docker compose means: the default."""
    for name, variable in setting_variables().items():
        if Settings.model_fields[name].default is None:
            monkeypatch.setenv(variable, "")
    assert Settings(_env_file=None) == Settings.model_construct(**{n: f.default for n, f in Settings.model_fields.items()})


def test_every_provider_has_a_role_and_a_topic() -> None:
    called = {role.partition(":")[2] for role in SNAPSHOT["roles"]} - {""}
    assert called == set(providers())
    assert {topics.calls(provider) for provider in called} <= set(SNAPSHOT["topics"])
