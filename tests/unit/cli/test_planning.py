import pytest
import yaml

from schemas.errors import SettingsError
from streams.catalogue import load_catalogue
from streams.cli.planning import Wish, plan_of
from streams.settings import Settings


@pytest.fixture
def settings(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("PENSTOCK_SIMULATOR_URL", "PENSTOCK_DEPLOYMENTS_FILE"):
        monkeypatch.delenv(name, raising=False)
    return Settings(data_dir=tmp_path / "data")


def test_without_any_key_everything_is_simulated(settings):
    plan = plan_of(Wish(), settings, {})
    assert plan.simulator
    assert set(plan.providers) == set(load_catalogue(settings).providers)
    assert {f"calls:{p}" for p in plan.providers} < set(plan.roles)


def test_a_key_makes_it_real_for_the_providers_that_have_one(settings):
    plan = plan_of(Wish(), settings, {"OPENAI_API_KEY": "k", "OLLAMA_URL": "http://localhost:11434"})
    assert not plan.simulator
    assert set(plan.providers) == {"openai", "ollama"}


def test_the_simulator_can_be_asked_for_in_spite_of_a_key(settings):
    plan = plan_of(Wish(simulator=True), settings, {"OPENAI_API_KEY": "k"})
    assert plan.simulator
    assert "anthropic" in plan.providers


def test_a_choice_of_providers_is_all_that_routing_sees(settings):
    plan = plan_of(Wish(providers=("openai", "google")), settings, {})
    catalogue = load_catalogue(plan.settings)
    assert set(catalogue.providers) == {"openai", "google"}
    assert {d.provider for d in catalogue.deployments} == {"openai", "google"}
    raw = yaml.safe_load(plan.settings.deployments_file.read_text())
    assert raw["version"] == load_catalogue(settings).version


@pytest.mark.parametrize(
    ("wish", "environment", "why"),
    [
        (Wish(providers=("opnai",)), {}, "no provider opnai"),
        (Wish(simulator=False), {}, "no provider can be called"),
        (Wish(providers=("openai", "google")), {"OPENAI_API_KEY": "k"}, "set GOOGLE_AI_API_KEY for google"),
        (Wish(workers=("dispatch",)), {}, "--workers 'dispatch'"),
        (Wish(workers=("dispatch=0",)), {}, "--workers"),
        (Wish(workers=("sing=2",)), {}, "the roles are"),
    ],
)
def test_what_does_not_fit_is_refused(settings, wish, environment, why):
    with pytest.raises(SettingsError, match=why):
        plan_of(wish, settings, environment)


def test_a_profile_needs_the_simulator(settings, tmp_path):
    with pytest.raises(SettingsError, match="--simulator-profile"):
        plan_of(Wish(simulator_profile=tmp_path / "p.yaml"), settings, {"OPENAI_API_KEY": "k"})


def test_workers_count(settings):
    plan = plan_of(Wish(providers=("openai",), workers=("dispatch=2", "calls:openai=3")), settings, {})
    assert plan.roles == {"dispatch": 2, "calls:openai": 3, "tables": 1, "intake": 1, "health": 1, "edge": 1, "webhooks": 1}
