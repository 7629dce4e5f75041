"""The lock file names one reviewed set of jars."""

import re

import pytest
from jgo.constants import default_maven_repo

from streams.embedded.jars import KAFKA_VERSION, default_repository, locked


def test_kafka_is_of_one_version():
    assert {jar.version for jar in locked() if jar.group == "org.apache.kafka"} == {KAFKA_VERSION}


def test_every_jar_can_be_checked():
    assert all(re.fullmatch("[0-9a-f]{64}", jar.sha256) and jar.size_bytes > 0 for jar in locked())


def test_no_jar_is_there_twice():
    names = [(jar.group, jar.artifact) for jar in locked()]

    assert len(names) == len(set(names))


def test_the_server_and_its_logging_are_there():
    assert {"kafka_2.13", "kafka-clients", "log4j-core", "log4j-slf4j-impl", "slf4j-api"} <= {jar.artifact for jar in locked()}


@pytest.mark.parametrize("named", [None, "/repository"])
def test_the_jars_lie_where_jgo_has_them(monkeypatch, named):
    monkeypatch.delenv("M2_REPO", raising=False)
    if named is not None:
        monkeypatch.setenv("M2_REPO", named)

    assert default_repository() == default_maven_repo()
