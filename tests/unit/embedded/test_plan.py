"""The children run under the settings that the operator gave, whichever way they were given."""

from pathlib import Path

from pydantic import SecretStr

from streams.embedded.plan import environment_of, every_role
from streams.settings import Settings


def test_only_what_was_set_is_passed_on():
    settings = Settings(_env_file=None, data_dir=Path("data"), partitions=8, ssl_cafile=None)

    environment = environment_of(settings)

    assert environment["PENSTOCK_PARTITIONS"] == "8"
    assert environment["PENSTOCK_DATA_DIR"] == "data"
    assert "PENSTOCK_SSL_CAFILE" not in environment
    assert "PENSTOCK_RETRY_CAP_S" not in environment


def test_names_without_the_prefix_and_secrets_arrive_as_they_are():
    settings = Settings(_env_file=None, redis_url="redis://cache:6379/1", sasl_password=SecretStr("s3cret"))

    environment = environment_of(settings)

    assert environment["REDIS_URL"] == "redis://cache:6379/1"
    assert environment["PENSTOCK_SASL_PASSWORD"] == "s3cret"


def test_a_child_reads_back_the_same_settings(monkeypatch):
    settings = Settings(
        _env_file=None,
        bootstrap_servers="127.0.0.1:9092",
        redis_url="redis://127.0.0.1:6379/0",
        schema_registry_password=SecretStr("pw"),
        retry_base_s=0.25,
        retry_indeterminate=False,
        prices_file=Path("prices.yaml"),
        security_protocol="SASL_SSL",
    )

    for name, value in environment_of(settings).items():
        monkeypatch.setenv(name, value)

    assert Settings(_env_file=None) == settings


def test_addresses_that_the_stack_filled_in_count_as_set():
    settings = Settings(_env_file=None).model_copy(update={"simulator_url": "http://127.0.0.1:8200"})

    assert environment_of(settings)["PENSTOCK_SIMULATOR_URL"] == "http://127.0.0.1:8200"


def test_every_provider_has_a_role():
    assert every_role(("anthropic", "openai"))["calls:anthropic"] == 1
