from datetime import UTC, datetime, timedelta

import pytest

from streams import topics
from streams.cli.checks import Group, Level, judge_clock, judge_group, judge_lanes, judge_topics

WANTED = topics.all_topics(["openai"])
STANDING = dict.fromkeys(WANTED, 2)
NOW = datetime(2026, 1, 31, tzinfo=UTC)


def test_all_topics_there():
    assert judge_topics(WANTED, STANDING, {}).level is Level.OK


def test_a_missing_topic_fails_and_says_what_to_do():
    check = judge_topics(WANTED, {k: v for k, v in STANDING.items() if k != "ai.costs"}, {})
    assert (check.level, check.next_step) == (Level.FAIL, "create them with `penstock init`")
    assert "ai.costs" in check.message


def test_another_configuration_warns():
    check = judge_topics(WANTED, STANDING, {"ai.costs": ["retention.ms is 1, not 2"], "ai.chunks": ["x is 1, not 2"]})
    assert check.level is Level.WARN
    assert "1 other topic" in check.message


@pytest.mark.parametrize(
    ("standing", "partitions", "level"),
    [
        (STANDING, 2, Level.OK),
        (STANDING, None, Level.OK),
        (STANDING, 3, Level.FAIL),
        (STANDING | {"ai.attempts": 3}, None, Level.FAIL),
        ({}, None, Level.FAIL),
        (STANDING | {"ai.responses": 9}, 2, Level.OK),
    ],
)
def test_lanes(standing, partitions, level):
    assert judge_lanes(WANTED, standing, partitions).level is level


@pytest.mark.parametrize(
    ("members", "lag", "level"),
    [
        (1, {}, Level.OK),
        (0, {}, Level.OK),
        (1, {"t": 2}, Level.OK),  # a transaction's marker in each partition
        (0, {"t": 2}, Level.OK),
        (1, {"t": 500}, Level.OK),
        (1, {"t": 5_000}, Level.WARN),
        (0, {"t": 3}, Level.FAIL),
    ],
)
def test_groups(members, lag, level):
    assert judge_group(Group("penstock-intake", members, lag, partitions=2)).level is level


@pytest.mark.parametrize(
    ("newest", "level"),
    [
        (None, Level.OK),
        (NOW - timedelta(days=9), Level.OK),
        (NOW + timedelta(seconds=1), Level.OK),
        (NOW + timedelta(minutes=5), Level.WARN),
    ],
)
def test_clock(newest, level):
    assert judge_clock(newest, NOW).level is level
