"""Prometheus metrics: one endpoint a process, off unless PENSTOCK_METRICS_PORT is set. Names are written by hand.

What OpenTelemetry's GenAI conventions name keeps their names, attributes and buckets, spelled as Prometheus wants them; the four
`ai_…` names are kept for dashboards that know them. Labels never hold a tenant, a user or a request: their number has no bound.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import psutil
from prometheus_client import REGISTRY, Counter, Gauge, Histogram, start_http_server
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from processors.dispatch.decision import Emission
from processors.providers.contract import Completion, Failed
from schemas.calls import CallOrdered
from schemas.errors import SettingsError
from schemas.ledger import CostEvent, CostKind
from schemas.outcomes import InferenceResponse
from streams.settings import Settings

# Buckets of the OpenTelemetry GenAI semantic conventions ("Semantic Conventions for GenAI client metrics").
_DURATION_S = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
_TOKENS = (1, 4, 16, 64, 256, 1_024, 4_096, 16_384, 65_536, 262_144, 1_048_576, 4_194_304, 16_777_216, 67_108_864)
_FIRST_TOKEN_S = (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
_CALL = ("gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model")

CALL_DURATION = Histogram(
    "gen_ai_client_operation_duration_seconds",
    "Time of one provider call; error_type is empty for a success.",
    (*_CALL, "error_type"),
    buckets=_DURATION_S,
)
CALL_TOKENS = Histogram(
    "gen_ai_client_token_usage", "Tokens of one provider call.", (*_CALL, "gen_ai_token_type"), buckets=_TOKENS
)
FIRST_TOKEN = Histogram(
    "gen_ai_client_operation_time_to_first_chunk_seconds",
    "Time to the first piece of a streamed answer.",
    _CALL,
    buckets=_FIRST_TOKEN_S,
)
IN_FLIGHT = Gauge("penstock_calls_in_flight", "Provider calls of this worker that are under way.", ("deployment",))
PREDICTION_DURATION = Histogram(
    "ai_prediction_duration_seconds", "Time of one successful provider call.", ("provider", "model"), buckets=_DURATION_S
)
PREDICTIONS = Counter("ai_predictions", "Provider calls that ended.", ("provider", "model", "status"))
ACCURACY = Gauge("ai_model_accuracy", "Share of judged answers of the last day that were right.", ("model",))

REQUEST_DURATION = Histogram(
    "penstock_request_duration_seconds",
    "From the request's record to its final response.",
    ("status", "cache"),
    buckets=(0.005, *_DURATION_S, 163.84, 327.68, 655.36),
)
COST = Counter("penstock_cost_nanousd", "Charged, in 1e-9 US dollars; corrections downwards left out.", ("provider", "model"))
AVOIDED = Counter("penstock_avoided_nanousd", "Saved by answers from the cache or of identical requests, in 1e-9 US dollars.")
LEDGER = Counter("penstock_cost_events", "Cost events by kind and flag.", ("kind", "flag"))
OPEN_REQUESTS = Gauge("penstock_open_requests", "Requests without a final response, of a lane partition.", ("partition", "phase"))
OPEN_CALLS = Gauge("penstock_open_calls", "Calls that were started and are not settled, of a lane partition.", ("partition",))

ROUTED = Counter("penstock_requests_routed", "Requests by what intake decided.", ("operation", "task_kind", "policy", "outcome"))
LOOK_UPS = Counter("penstock_cache_look_ups", "Look-ups in the answer cache, by where they ended.", ("tier",))
DEAD_LETTERS = Counter("penstock_dead_letters", "Records that were put aside.", ("stage", "reason"))
WEBHOOKS = Counter("penstock_webhook_deliveries", "Tries of webhooks, by what came of them.", ("outcome",))
WEBHOOKS_WAITING = Gauge("penstock_webhooks_waiting", "Webhooks of this process that wait for a try.")


class _Resources(Collector):
    """What this process takes, read when it is asked."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._process.cpu_percent()

    def collect(self) -> Iterator[GaugeMetricFamily]:
        family = GaugeMetricFamily("ai_system_resources", "Resources of this process.", labels=("resource",))
        with self._process.oneshot():
            family.add_metric(("cpu_percent",), self._process.cpu_percent())
            family.add_metric(("memory_bytes",), self._process.memory_info().rss)
            family.add_metric(("threads",), self._process.num_threads())
        yield family


@contextmanager
def serving(settings: Settings) -> Iterator[int | None]:
    """Serve the metrics meanwhile; gives the port, None when they are off. Raises SettingsError when the port is taken."""
    if settings.metrics_port is None:
        yield None
        return
    resources = _Resources()
    REGISTRY.register(resources)
    try:
        server, thread = start_http_server(settings.metrics_port, settings.metrics_address)
    except OSError as error:
        REGISTRY.unregister(resources)
        raise SettingsError(
            f"metrics cannot be served on {settings.metrics_address}:{settings.metrics_port} ({error.strerror}): "
            "give each process of a machine its own PENSTOCK_METRICS_PORT, or 0 for any free one"
        ) from error
    try:
        yield int(server.server_port)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
        REGISTRY.unregister(resources)


def call_ended(order: CallOrdered, outcome: Completion | Failed, *, latency_ms: int) -> None:
    """Count one provider call."""
    labels = (order.operation.value, order.provider, order.model)
    failure = outcome.failure.kind.value if isinstance(outcome, Failed) else ""
    CALL_DURATION.labels(*labels, failure).observe(latency_ms / 1000)
    PREDICTIONS.labels(order.provider, order.model, failure or "success").inc()
    if isinstance(outcome, Completion):
        PREDICTION_DURATION.labels(order.provider, order.model).observe(latency_ms / 1000)
        if outcome.first_token_ms is not None:
            FIRST_TOKEN.labels(*labels).observe(outcome.first_token_ms / 1000)
    if outcome.usage is not None:
        CALL_TOKENS.labels(*labels, "input").observe(outcome.usage.input_tokens)
        CALL_TOKENS.labels(*labels, "output").observe(outcome.usage.output_tokens)


def committed(records: Iterable[Emission]) -> None:
    """Count what one transaction of the dispatcher said."""
    for record in records:
        if isinstance(record, InferenceResponse):
            if record.final:
                seconds = (record.answered_at - record.received_at).total_seconds()
                REQUEST_DURATION.labels(record.status.value, record.cache.value).observe(max(seconds, 0.0))
        elif isinstance(record, CostEvent):
            _count_cost(record)


def lane_is(partition: int, *, open_requests: int, parked: int, open_calls: int) -> None:
    """Say how much a lane of this process holds."""
    OPEN_REQUESTS.labels(str(partition), "open").set(open_requests)
    OPEN_REQUESTS.labels(str(partition), "parked").set(parked)
    OPEN_CALLS.labels(str(partition)).set(open_calls)


def lane_left(partition: int) -> None:
    """Say no more about a lane that another dispatcher may have now."""
    for phase in ("open", "parked"):
        OPEN_REQUESTS.remove(str(partition), phase)
    OPEN_CALLS.remove(str(partition))


def _count_cost(event: CostEvent) -> None:
    # A price that is missing comes first: it is what somebody must act upon.
    flag = "unpriced" if event.cost_nanousd is None else "wasted" if event.wasted else "estimated" if event.estimated else ""
    LEDGER.labels(event.kind.value, flag).inc()
    if event.kind is CostKind.CACHE_HIT:
        AVOIDED.inc(event.avoided_nanousd or 0)
    elif event.cost_nanousd is not None and event.cost_nanousd > 0:
        COST.labels(event.provider, event.model).inc(event.cost_nanousd)
