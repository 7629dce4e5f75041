"""The operator's files: what is wrong is named by key, with what to do; a key that was pasted is never repeated."""

from decimal import Decimal

import pytest

from processors.cost.prices import PriceBook
from processors.route.catalogue import parse, parse_prices
from schemas.calls import Usage
from schemas.deployments import Price, ProviderKind, TenantSettings
from schemas.errors import SettingsError
from schemas.ledger import PricingStatus
from schemas.requests import Operation
from streams import clock
from streams.catalogue import callable_deployments, load_catalogue, not_callable
from streams.prices import load_prices
from streams.settings import Settings

GOOD = {
    "version": 7,
    "providers": {"me": {"kind": "openai", "address": "http://10.0.0.1:8000/v1/", "key_env": "ME_KEY"}},
    "deployments": [{"provider": "me", "model": "m", "price": {"input_usd_per_million": 0.1, "output_usd_per_million": 2}}],
    "tenants": {"acme": {"lanes": 4}},
}


def changed(**deployment: object) -> dict[str, object]:
    return GOOD | {"deployments": [GOOD["deployments"][0] | deployment]}


def test_a_catalogue():
    catalogue = parse(GOOD, source="x")
    assert catalogue.version == "7"
    assert (catalogue.providers["me"].kind, catalogue.providers["me"].address) == (ProviderKind.OPENAI, "http://10.0.0.1:8000/v1")
    (deployment,) = catalogue.deployments
    assert (deployment.name, deployment.price) == ("me/m", Price(Decimal("0.1"), Decimal(2)))
    assert catalogue.tenants == {"acme": TenantSettings(4)}


def test_what_a_deployment_may_say_besides():
    content = changed(requests_per_minute=60, tokens_per_minute=9_000, environment=["production"], context_fallbacks=["big*"])
    (deployment,) = parse(content, source="x").deployments
    assert (deployment.requests_per_minute, deployment.tokens_per_minute) == (60, 9_000)
    assert (deployment.environments, deployment.context_fallbacks) == (frozenset({"production"}), ("big*",))


@pytest.mark.parametrize(
    ("kind", "said", "json_mode", "json_schema"),
    [
        ("openai", {}, True, True),
        ("google", {}, True, True),
        ("ollama", {}, True, True),
        ("anthropic", {}, False, True),
        ("anthropic", {"json_mode": True}, True, True),
        ("openai", {"json_mode": False}, False, False),
        ("openai", {"json_mode": False, "json_schema": True}, False, True),
        ("openai", {"json_schema": False}, True, False),
    ],
)
def test_which_json_a_deployment_answers_in(kind, said, json_mode, json_schema):
    content = changed(**said) | {"providers": {"me": GOOD["providers"]["me"] | {"kind": kind}}}
    (deployment,) = parse(content, source="x").deployments
    assert (deployment.json_mode, deployment.json_schema) == (json_mode, json_schema)


def test_without_a_version_the_content_is_it():
    unversioned = {k: v for k, v in GOOD.items() if k != "version"}
    other = unversioned | {"tenants": {}}
    assert parse(unversioned, source="x").version == parse(dict(reversed(unversioned.items())), source="y").version
    assert parse(unversioned, source="x").version != parse(other, source="x").version


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "x holds no mapping of keys; it needs version, providers, deployments"),
        (GOOD | {"provider": {}}, "provider: is no key of this file; check its spelling or remove it"),
        (GOOD | {"deployments": []}, "deployments: List should have at least 1 item"),
        (changed(context_tokens=0), "deployments[0].context_tokens (deployment m): Input should be greater than or equal to 1"),
        (changed(contxt_tokens=5), "deployments[0].contxt_tokens (deployment m): is no key of this file"),
        (changed(model=None), "deployments[0].model"),
        (changed(requests_per_minute=0), "deployments[0].requests_per_minute (deployment m): Input should be greater"),
        (changed(environment=["Prod uction"]), "deployments[0].environment"),
        (changed(provider="you"), "deployments[0] (you/m) names the provider 'you'; `providers` has me"),
        (GOOD | {"deployments": GOOD["deployments"] * 2}, "deployments[1] (me/m) stands twice; give one of the two a `name`"),
        (changed(name="auto"), "is called 'auto'"),
        (changed(name="a b"), "deployments[0].name (deployment a b): String should match pattern"),
        (changed(operations=["unknown"]), "operations: choose of chat, classification, embeddings, ml, text_completion"),
        (changed(operations=["sing"]), "deployments[0].operations[0] (deployment m): Input should be 'unknown', 'chat'"),
        (changed(price={"input_usd_per_million": -1, "output_usd_per_million": 1}), "price.input_usd_per_million (deployment m)"),
        (changed(price={"input_usd_per_million": 1}), "price.output_usd_per_million (deployment m): is missing"),
        (GOOD | {"providers": {"ME": GOOD["providers"]["me"]}}, "providers.ME"),
        (GOOD | {"providers": {"me": {"kind": "openai", "address": "10.0.0.1"}}}, "providers.me.address"),
        (GOOD | {"tenants": {"a": {"lanes": 0}}}, "tenants.a.lanes"),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else None,
)
def test_what_is_wrong_is_named(content, told):
    with pytest.raises(SettingsError) as raised:
        parse(content, source="x")
    assert told in str(raised.value)
    assert str(raised.value).startswith("x")


def test_a_key_that_was_pasted_is_not_repeated():
    secret = "sk-proj-0123456789"
    with pytest.raises(SettingsError) as raised:
        parse(GOOD | {"providers": {"me": GOOD["providers"]["me"] | {"key_env": secret}}}, source="x")
    assert secret not in str(raised.value)
    assert "names the environment variable" in str(raised.value)


def test_prices():
    entry = {"provider": "openai", "model": "gpt-4o", "input_usd_per_million": "0.5", "output_usd_per_million": 1}
    prices, version = parse_prices({"version": "q3", "prices": [entry]}, source="x")
    assert prices == {("openai", "gpt-4o"): Price(Decimal("0.5"), Decimal(1))}
    assert version == "prices q3"
    with pytest.raises(SettingsError, match="again; keep one"):
        parse_prices({"prices": [entry, entry]}, source="x")


NO_SIMULATOR = Settings(_env_file=None)


def test_the_built_in_catalogue_serves_every_provider_and_prices_all_it_names():
    catalogue = load_catalogue(NO_SIMULATOR)
    assert set(catalogue.providers) == {"openai", "anthropic", "google", "deepseek", "ollama"}
    assert {p.key_env or p.address_env for p in catalogue.providers.values()} == {
        "OPENAI_API_KEY",
        "ANTHROPIC_API_KEY",
        "GOOGLE_AI_API_KEY",
        "DEEPSEEK_API_KEY",
        "OLLAMA_URL",
    }
    book = PriceBook.of(catalogue)
    for d in catalogue.deployments:
        usage = Usage(1_000, 0 if d.operations == {Operation.EMBEDDINGS} else 1_000)
        priced = book.price(usage, provider=d.provider, model=d.model, deployment=d.name, at=clock.now())
        assert priced.status is PricingStatus.PRICED, d.name
        assert (priced.cost_nanousd == 0) == (d.provider == "ollama"), d.name


@pytest.mark.parametrize(
    ("environment", "simulator", "left_out"),
    [
        pytest.param({}, None, {"anthropic", "deepseek", "google", "ollama", "openai"}, id="nothing-set"),
        pytest.param({"OPENAI_API_KEY": "k"}, None, {"anthropic", "deepseek", "google", "ollama"}, id="one-key"),
        pytest.param({"OPENAI_API_KEY": " "}, None, {"anthropic", "deepseek", "google", "ollama", "openai"}, id="blank-key"),
        pytest.param(
            {"OLLAMA_URL": "http://h:11434"}, None, {"anthropic", "deepseek", "google", "openai"}, id="ollama-by-address"
        ),
        pytest.param({}, "http://127.0.0.1:1", set(), id="simulated"),
    ],
)
def test_what_cannot_be_called_is_left_out(environment, simulator, left_out):
    settings = NO_SIMULATOR.model_copy(update={"simulator_url": simulator})
    catalogue = load_catalogue(settings)
    assert set(not_callable(catalogue, settings, environment)) == left_out
    assert {d.provider for d in callable_deployments(catalogue, settings, environment)} == set(catalogue.providers) - left_out


def test_a_server_without_key_and_variable_is_always_called():
    content = GOOD | {"providers": {"me": {"kind": "openai", "address": "http://10.0.0.1/v1"}}}
    assert len(callable_deployments(parse(content, source="x"), NO_SIMULATOR, {})) == 1


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: 1\na: 2\n", "at line 2, column 1: the key 'a' stands twice"),
        ("a: [1\n", "at line 2, column 1"),
        ("!!python/object/apply:os.system ['true']", "could not determine a constructor"),
    ],
)
def test_yaml_that_cannot_be_read(tmp_path, text, told):
    path = tmp_path / "deployments.yaml"
    path.write_text(text)
    with pytest.raises(SettingsError, match=r"deployments\.yaml") as raised:
        load_catalogue(NO_SIMULATOR.model_copy(update={"deployments_file": path}))
    assert told in str(raised.value)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(SettingsError, match="correct PENSTOCK_DEPLOYMENTS_FILE"):
        load_catalogue(NO_SIMULATOR.model_copy(update={"deployments_file": tmp_path / "absent.yaml"}))


def test_a_price_file_wins_over_the_list(tmp_path):
    path = tmp_path / "prices.yaml"
    path.write_text(
        "version: 2\nprices: [{provider: openai, model: gpt-4o, input_usd_per_million: 1, output_usd_per_million: 1}]\n"
    )
    settings = NO_SIMULATOR.model_copy(update={"prices_file": path})
    book = load_prices(settings, load_catalogue(settings))
    priced = book.price(Usage(1_000, 0), provider="openai", model="gpt-4o", deployment="any", at=clock.now())
    assert (priced.cost_nanousd, priced.price_version) == (1_000_000, "prices 2")
