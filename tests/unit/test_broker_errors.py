"""What a broker says, in words that name the next step."""

import pytest
from aiokafka import errors

from schemas.errors import SettingsError
from streams.broker_errors import in_words
from streams.settings import Settings

SETTINGS = Settings(_env_file=None, bootstrap_servers="kafka:9092")


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (errors.AuthenticationFailedError, "refuses the login: check PENSTOCK_SASL_USERNAME"),
        (errors.TopicAuthorizationFailedError, "does not let this user use ai.costs: grant it Describe"),
        (errors.GroupAuthorizationFailedError, "grant it Read on it"),
        (errors.UnknownTopicOrPartitionError, "ai.costs does not exist at kafka:9092: create the topics with `penstock init`"),
        (errors.KafkaConnectionError, "no Kafka answers at kafka:9092: start it"),
        (errors.KafkaTimeoutError, "no Kafka answers"),
    ],
)
def test_a_brokers_trouble_is_told_with_the_next_step(error: type[Exception], says: str) -> None:
    with pytest.raises(SettingsError) as raised, in_words(SETTINGS, "ai.costs"):
        raise error
    assert says in str(raised.value)
    assert isinstance(raised.value.__cause__, error)


def test_what_is_no_settings_trouble_stays_what_it_is() -> None:
    with pytest.raises(errors.CorruptRecordException), in_words(SETTINGS):
        raise errors.CorruptRecordException
