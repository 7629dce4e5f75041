"""The gate for what a broker refuses: its errors as ours, with the next step."""

from collections.abc import Iterator
from contextlib import contextmanager

from aiokafka.errors import (
    AuthenticationFailedError,
    GroupAuthorizationFailedError,
    KafkaConnectionError,
    KafkaTimeoutError,
    NodeNotReadyError,
    RequestTimedOutError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
)

from schemas.errors import SettingsError
from streams.settings import Settings


@contextmanager
def in_words(settings: Settings, topic: str | None = None) -> Iterator[None]:
    """Turn a broker that is away, or refuses us, into SettingsError with the next step. `topic` names what was asked for."""
    where = settings.bootstrap_servers
    try:
        yield
    except AuthenticationFailedError as error:
        raise SettingsError(
            f"Kafka at {where} refuses the login: check PENSTOCK_SASL_USERNAME, PENSTOCK_SASL_PASSWORD and "
            "PENSTOCK_SASL_MECHANISM"
        ) from error
    except TopicAuthorizationFailedError as error:
        raise SettingsError(
            f"Kafka at {where} does not let this user use {topic or 'a topic'}: grant it Describe, and Read or Write"
        ) from error
    except GroupAuthorizationFailedError as error:
        raise SettingsError(f"Kafka at {where} does not let this user join its consumer group: grant it Read on it") from error
    except UnknownTopicOrPartitionError as error:
        raise SettingsError(f"{topic or 'a topic'} does not exist at {where}: create the topics with `penstock init`") from error
    except (KafkaConnectionError, KafkaTimeoutError, NodeNotReadyError, RequestTimedOutError) as error:
        raise SettingsError(
            f"no Kafka answers at {where}: start it (`penstock up` starts one of its own), or correct the address "
            "(--bootstrap-servers or PENSTOCK_BOOTSTRAP_SERVERS)"
        ) from error
