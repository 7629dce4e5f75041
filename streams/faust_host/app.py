"""The Faust app of a host: no web server, no sensors, no leader topic, our consumer and producer."""

import asyncio
from collections.abc import Iterable
from functools import cached_property
from typing import Any

import faust
from faust.app.base import BootStrategy as FaustBootStrategy
from faust.transport.drivers.aiokafka import Transport as FaustTransport
from mode import Service
from mode.supervisors import CrashingSupervisor
from mode.utils.queues import FlowControlEvent
from yarl import URL

from streams.faust_host.consumer import Consumer
from streams.faust_host.options import HostOptions
from streams.faust_host.producer import Producer
from streams.faust_host.stream import Stream
from streams.faust_host.tables import TableManager
from streams.faust_host.topic import Topic


class Transport(FaustTransport):
    Consumer = Consumer
    Producer = Producer


class BootStrategy(FaustBootStrategy):
    """What starts with the app. Faust's web server never does: it would serve tables to anybody on port 6066."""

    def kafka_consumer(self) -> Iterable[Service]:
        return [self.app.consumer]

    def web_server(self) -> Iterable[Service]:
        return []


class FlowControl(FlowControlEvent):
    """Faust empties every queue when the flow resumes, and loses what was handed out a moment before.

    A rebalance empties them when it begins, which is enough.
    """

    def resume(self) -> None:
        self._suspend.clear()
        self._resume.set()


class App(faust.App):
    """Made by `streams.faust_host.host.host`."""

    BootStrategy = BootStrategy

    def __init__(self, options: HostOptions) -> None:
        self.options = options
        self.failed = asyncio.Event()
        super().__init__(
            options.group,
            broker=[URL(f"kafka://{server.strip()}") for server in options.bootstrap_servers.split(",")],
            broker_client_id=options.client_id,
            broker_commit_interval=options.commit_interval_s,
            broker_session_timeout=options.session_timeout_ms / 1000,
            broker_request_timeout=options.request_timeout_s,
            processing_guarantee="at_least_once",
            key_serializer="raw",
            value_serializer="raw",
            Stream=Stream,
            Topic=Topic,
            TableManager=TableManager,
            agent_supervisor=CrashingSupervisor,
            stream_buffer_maxsize=options.buffer_records,
            stream_wait_empty=True,
            stream_recovery_delay=0.0,
            store="memory://",
            topic_allow_declare=False,
            topic_disable_leader=True,
            table_standby_replicas=0,
            reply_create_topic=False,
            web_enabled=False,
            worker_redirect_stdouts=False,
            autodiscover=False,
        )

    def on_init_dependencies(self) -> Iterable[Service]:
        """Faust's monitor is left out: it costs more a record than everything else here together."""
        services: Iterable[Service] = self.boot_strategy.producer_only() if self.producer_only else self.boot_strategy.server()
        return services

    def _crash(self, reason: BaseException) -> None:
        super()._crash(reason)
        self.failed.set()

    def on_rebalance_start(self) -> None:
        super().on_rebalance_start()
        # Without a sensor Faust's state is empty, which it takes for missing and warns of in every rebalance.
        self._rebalancing_sensor_state: dict[str, Any] = {"sensors": None}

    @cached_property
    def flow_control(self) -> FlowControl:
        return FlowControl(loop=self.loop)

    def _new_transport(self) -> Any:
        return Transport(self.conf.broker_consumer, self)

    def _create_directories(self) -> None:
        """Nothing is kept on disk."""
