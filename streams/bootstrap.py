"""What must stand before a role can run: a broker that answers, topics and schema ids."""

import asyncio
from collections.abc import Iterable
from time import monotonic

import structlog
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaConnectionError, TopicAlreadyExistsError, for_code

from schemas.errors import SettingsError
from schemas.serde import Serde
from streams import topics
from streams.settings import Settings
from streams.topics import Spread, Topic

log = structlog.get_logger(__name__)

_BROKER_AWAY_S = 60.0
_LOOK_AGAIN_S = 0.25


async def broker_answers(settings: Settings, stop: asyncio.Event) -> bool:
    """Whether a broker answered before `stop`. Raises KafkaConnectionError when none did for _BROKER_AWAY_S.

    A worker that ends and is started again spends two seconds of CPU each time. Many of them slow down the very broker they
    wait for, and the pauses between their starts grow while it is away.
    """
    give_up_s, told = monotonic() + _BROKER_AWAY_S, False
    while not stop.is_set():
        admin = AIOKafkaAdminClient(
            bootstrap_servers=require_bootstrap(settings), client_id=f"{settings.app}-bootstrap", **settings.kafka_security()
        )
        try:
            await admin.start()
        except KafkaConnectionError as error:
            if monotonic() > give_up_s:
                raise
            if not told:
                log.warning("broker_away", error=str(error), waits_s=_BROKER_AWAY_S)
            told = True
        else:
            return True
        finally:
            await admin.close()
        try:
            await asyncio.wait_for(stop.wait(), timeout=_LOOK_AGAIN_S)
        except TimeoutError:
            continue
    return False


async def create_topics(settings: Settings, providers: Iterable[str], *, config: dict[str, str] | None = None) -> list[str]:
    """Create the topics that are missing; returns their names. `config` is added to each (tests use it).

    Raises SettingsError when the lane topics stand with another partition count than the settings say: records are placed
    by lane, and a lane that moves would leave its state behind.
    """
    wanted = topics.all_topics(providers)
    admin = AIOKafkaAdminClient(
        bootstrap_servers=require_bootstrap(settings), client_id=f"{settings.app}-bootstrap", **settings.kafka_security()
    )
    try:
        await admin.start()
    except KafkaConnectionError as error:
        raise SettingsError(
            f"no Kafka answers at {settings.bootstrap_servers}; start it, or correct --bootstrap-servers"
        ) from error
    try:
        present = set(await admin.list_topics())
        missing = [topic for name, topic in wanted.items() if name not in present]
        if missing:
            reply = await admin.create_topics([_new(topic, settings, config or {}) for topic in missing])
            for name, code, *rest in reply.topic_errors:
                refusal = for_code(code)
                if code != 0 and refusal is not TopicAlreadyExistsError:
                    raise SettingsError(
                        f"topic {name} could not be created: {refusal.__name__} {rest[0] if rest else ''}".strip()
                    )
        await _check_lanes(admin, settings, [t for name, t in wanted.items() if name in present and t.spread is Spread.LANES])
        return [topic.name for topic in missing]
    finally:
        await admin.close()


async def prepare_serde(settings: Settings, providers: Iterable[str]) -> Serde:
    """The codecs, with ids from the registry when one is configured, else from the built-in catalogue."""
    serde = Serde()
    if settings.schema_registry_url is not None:
        from streams.registry import Registry  # noqa: PLC0415 - an HTTP client is only loaded when it is used

        await Registry(settings).register(serde.catalogue, topics.all_topics(providers).values())
    return serde


def require_bootstrap(settings: Settings) -> str:
    """The bootstrap servers; raises SettingsError when none are set."""
    if settings.bootstrap_servers is None:
        raise SettingsError(
            "no Kafka is named: start one with `penstock up`, or pass --bootstrap-servers (PENSTOCK_BOOTSTRAP_SERVERS)"
        )
    return settings.bootstrap_servers


async def _check_lanes(admin: AIOKafkaAdminClient, settings: Settings, lane_topics: list[Topic]) -> None:
    if not lane_topics:
        return
    for described in await admin.describe_topics([topic.name for topic in lane_topics]):
        count = len(described["partitions"])
        if count != settings.partitions:
            raise SettingsError(
                f"topic {described['topic']} has {count} partitions, the settings say {settings.partitions}: the lane count "
                f"is chosen once, when the topics are made; start with --partitions {count} (PENSTOCK_PARTITIONS={count})"
            )


def _new(topic: Topic, settings: Settings, config: dict[str, str]) -> NewTopic:
    return NewTopic(
        name=topic.name,
        num_partitions=1 if topic.spread is Spread.SINGLE else settings.partitions,
        replication_factor=settings.replication_factor,
        topic_configs=topic.broker_config() | config,
    )
