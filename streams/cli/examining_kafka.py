"""The checks that ask Kafka: broker, topics, lanes, groups, clock, dead letters."""

import re
from collections.abc import AsyncIterator, Mapping

from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from schemas.errors import SettingsError
from streams import clock, topics
from streams.cli.checks import Check, Group, judge_clock, judge_group, judge_lanes, judge_topics
from streams.cli.cluster import Cluster, open_cluster
from streams.cli.reading import Reader, open_reader
from streams.money import plural
from streams.target import Target

_CLOCK_TOPICS = (topics.REQUESTS, topics.RESPONSES, topics.ATTEMPTS)
_NOT_LISTED = "grant this user Describe on the groups"


async def examine(target: Target) -> AsyncIterator[Check]:
    """One check each; the later ones only when the topics stand."""
    settings = target.settings
    try:
        async with open_cluster(settings) as cluster:
            broker = await cluster.broker()
            where = f"{target.bootstrap_servers}: cluster {broker.cluster_id}, {plural(broker.nodes, 'node')}"
            yield Check.ok("kafka", f"{where}, Kafka {broker.generation}")
            standing = await cluster.topics()
            providers = {name.removeprefix(topics.CALLS_PREFIX) for name in standing if name.startswith(topics.CALLS_PREFIX)}
            wanted = topics.all_topics(providers | set(target.stack.providers if target.stack else ()))
            counts = {name: topic.partitions for name, topic in standing.items() if name in wanted}
            differences = {name: said for name in counts if (said := standing[name].differences(wanted[name].broker_config()))}
            yield judge_topics(wanted, counts, differences)
            # The roles of a running stack have its own settings, not this shell's.
            yield judge_lanes(wanted, counts, settings.partitions if target.stack is None else None)
            if wanted.keys() - counts.keys():
                return
            async for check in _of_records(target, cluster, sorted(wanted)):
                yield check
    except SettingsError as error:
        yield Check.fail("kafka", str(error), "start it, or correct the address")
    except KafkaError as error:
        yield Check.fail("kafka", f"refuses to say more: {type(error).__name__}", "grant this user Describe on topics and groups")


async def _of_records(target: Target, cluster: Cluster, names: list[str]) -> AsyncIterator[Check]:
    async with open_reader(target.settings, names) as reader:
        ends, begins = await reader.ends(), await reader.begins()
        groups = await _groups(target, cluster, ends, begins)
        if not groups:
            yield Check.warn("groups", "no role has ever run", "start them with `penstock up`, or `penstock worker --role ...`")
        for group in groups:
            yield judge_group(group)
        dead = sum(end - begins[p] for p, end in ends.items() if p.topic == topics.DEAD_LETTERS)
        if dead:
            yield Check.warn("dead letters", plural(dead, "record"), "look at them with `penstock consume dead-letters`")
        else:
            yield Check.ok("dead letters", "none")
        yield await _clock(reader, ends, begins)


async def _groups(
    target: Target, cluster: Cluster, ends: Mapping[TopicPartition, int], begins: Mapping[TopicPartition, int]
) -> list[Group]:
    """The groups of our roles; lag counts from the oldest record where nothing is committed."""
    app = target.settings.app
    ours = re.compile(rf"{re.escape(app)}-(intake|dispatch|tables|cache-fill|calls-.+)$")
    committed = {name: at for name, at in (await cluster.committed(f"{app}-")).items() if ours.match(name)}
    members = await cluster.members(tuple(committed))
    found = []
    for name, offsets in committed.items():
        consumed = {p.topic for p in offsets}
        lag: dict[str, int] = {}
        of_group = [p for p in ends if p.topic in consumed]
        for partition in of_group:
            behind = max(0, ends[partition] - offsets.get(partition, begins[partition]))
            lag[partition.topic] = lag.get(partition.topic, 0) + behind
        found.append(Group(name, members.get(name, 0), lag, len(of_group)))
    return found


async def _clock(reader: Reader, ends: Mapping[TopicPartition, int], begins: Mapping[TopicPartition, int]) -> Check:
    near = {p: (max(begins[p], end - 4) if p.topic in _CLOCK_TOPICS else end) for p, end in ends.items()}
    reader.place(near)
    newest_ms = -1
    async for record in reader.until({p: end for p, end in ends.items() if near[p] < end}):
        newest_ms = max(newest_ms, record.timestamp)
    return judge_clock(clock.from_kafka_ms(newest_ms) if newest_ms >= 0 else None, clock.now())
