"""The paths for operators: health, metrics, providers, costs, tables, configuration, and the documents themselves."""

from collections.abc import Mapping

from processors.api.openapi import Answer, Described, Parameter
from processors.api.openapi_schemas import COUNT, FLAG, MAYBE_TEXT, NUMBER, OBJECTS, TEXT, TIME, Schema, a_list, an_object, ref

_EVERYBODY, _READ, _ADMIN = ("publish", "read", "admin"), ("read", "admin"), ("admin",)
_OPERATIONS, _DOCUMENTS = "Operations", "Documents"
_MAYBE_TIME: Schema = {**TIME, "type": ["string", "null"]}
_ROUTING = "/v1/config/routing"
_PROVIDER = {"provider": "openai"}
_TENANT = Parameter("tenant", "For the role `admin`: this tenant's alone.", TEXT)
_NANOUSD: Schema = {"type": "integer", "description": "In 10⁻⁹ US dollars, exact."}

_SUMS: Mapping[str, Schema] = {
    "calls": COUNT,
    "cost_nanousd": _NANOUSD,
    "cost": {"type": "string", "description": "The same in dollars, exact."},
    "input_tokens": COUNT,
    "output_tokens": COUNT,
    "cache_read_input_tokens": COUNT,
    "cache_write_input_tokens": COUNT,
    "estimated_calls": COUNT,
    "wasted_calls": COUNT,
    "unpriced_calls": COUNT,
    "cache_hits": COUNT,
    "avoided_nanousd": _NANOUSD,
    "avoided": {"type": "string"},
}
_HEALTH: Mapping[str, Schema] = {
    "circuit": {"enum": ["closed", "half_open", "open"]},
    "opened_by": MAYBE_TEXT,
    "down_since": _MAYBE_TIME,
    "limited": {"type": "boolean"},
    "success_rate": NUMBER,
    "p50_ms": NUMBER,
    "p95_ms": NUMBER,
    "p99_ms": NUMBER,
    "in_flight": {"type": ["integer", "null"], "description": "For the role `admin`: calls under way, all tenants'."},
    "headroom": {"type": ["number", "null"], "description": "For the role `admin`: the share of the key's limits that is left."},
    "traffic_at": _MAYBE_TIME,
    "probed_at": _MAYBE_TIME,
}
_STATUS: Schema = {"enum": ["closed", "unheard", "half_open", "open"], "description": "Of the deployment that fares best."}

SCHEMAS: Mapping[str, Schema] = {
    "Sums": an_object("calls cost_nanousd cost", **_SUMS),
    "Costs": an_object(
        "by rows total",
        by=TEXT,
        per=MAYBE_TEXT,
        **{"from": _MAYBE_TIME, "to": _MAYBE_TIME},
        cumulative={"type": "boolean"},
        tenant=MAYBE_TEXT,
        rows={**OBJECTS, "description": "Each with what was summed by, under its own name, and the sums."},
        total=ref("Sums"),
    ),
    "Provider": an_object("name kind status deployments", name=TEXT, kind=TEXT, status=_STATUS, deployments=OBJECTS),
    "Providers": an_object("catalogue providers", catalogue={"type": "string"}, providers=a_list("Provider")),
    "DeploymentHealth": an_object("deployment model circuit", deployment=TEXT, model=TEXT, heard=FLAG, **_HEALTH),
    "ProviderHealth": an_object(
        "provider status deployments", provider=TEXT, status=_STATUS, deployments=a_list("DeploymentHealth")
    ),
    "ProviderTested": an_object(
        "provider request_id ok latency_ms",
        provider=TEXT,
        request_id=TEXT,
        ok={"type": "boolean"},
        status=TEXT,
        deployment=MAYBE_TEXT,
        response_model=MAYBE_TEXT,
        latency_ms=COUNT,
        attempts=COUNT,
        usage={"type": ["object", "null"]},
        cost_nanousd={"type": ["integer", "null"]},
        cost={"type": "string"},
        error={"type": ["object", "null"]},
    ),
    "Tables": an_object("tables", tables={"type": "array", "items": an_object("name holds", name=TEXT, holds=TEXT)}),
    "TablePage": an_object("table rows next", table=TEXT, rows=OBJECTS, next=MAYBE_TEXT),
    "RoutingSection": an_object(
        default={"type": "string", "description": "The policy of requests that no rule fits."},
        policies={"type": "object", "description": "Policies and experiments by name: docs/routing.md has their keys."},
        rules={**OBJECTS, "description": "The first that fits decides."},
    ),
    "RoutingInForce": an_object(
        "version source default rules changeable not_changeable",
        version={"type": ["string", "null"], "description": "Of the change that holds; null while the operator's file does."},
        source=TEXT,
        configured_at=_MAYBE_TIME,
        configured_by=MAYBE_TEXT,
        given={"type": ["object", "null"], "description": "What was put."},
        catalogue={"type": "string"},
        environment=MAYBE_TEXT,
        default={},
        rules=OBJECTS,
        changeable=TEXT,
        not_changeable=TEXT,
        warnings={"type": "array", "items": {"type": "string"}},
    ),
    "Alive": an_object("status", status={"const": "alive"}),
    "Ready": an_object("status checks", status={"enum": ["ready", "not_ready"]}, checks={"type": "object"}),
}


def _get(path: str, summary: str, schema: str | Schema, *parameters: Parameter, **more: object) -> Described:
    return Described("GET", path, _OPERATIONS, summary, Answer(summary, schema), parameters=parameters, **more)  # type: ignore[arg-type]


def _time(name: str, told: str) -> Parameter:
    return Parameter(name, told, {"anyOf": [{"type": "string", "format": "date-time"}, {"type": "string", "format": "date"}]})


TABLE = (
    _get("/health/live", "Whether the process runs.", "Alive"),
    _get(
        "/health/ready",
        "Whether requests should be sent here: Kafka answers, and the log has been read so far.",
        "Ready",
        others={503: Answer("Not yet, or not now.", "Ready")},
    ),
    Described(
        "GET",
        "/metrics",
        _OPERATIONS,
        "The metrics of the process that answers, for Prometheus.",
        Answer("The metrics.", {"type": "string"}, ("text/plain",)),
        roles=_ADMIN,
        description="Edge processes share a port: to scrape each of them, give each its own `PENSTOCK_METRICS_PORT`.",
    ),
    _get("/v1/providers", "The providers, their deployments, and how they fare.", "Providers", roles=_EVERYBODY, statuses=(503,)),
    _get(
        "/v1/providers/{provider}/health",
        "What calls and probes told of a provider's deployments lately.",
        "ProviderHealth",
        roles=_EVERYBODY,
        statuses=(404, 503),
        examples=_PROVIDER,
    ),
    Described(
        "POST",
        "/v1/providers/{provider}/test",
        _OPERATIONS,
        "Sends one small request through the log to the provider, and says what came. It costs what such a call costs.",
        Answer("What came, success or not.", "ProviderTested"),
        statuses=(404, 422, 503),
        roles=_ADMIN,
        body=an_object(deployment=TEXT),
        body_required=False,
        examples=_PROVIDER,
    ),
    _get(
        "/v1/costs",
        "What was spent, exactly.",
        "Costs",
        Parameter("by", "What to sum by.", {"enum": ["model", "provider", "tenant", "hour", "day"], "default": "model"}),
        Parameter("per", "And per interval.", {"enum": ["hour", "day"]}),
        _time("from", "From the hour of this time on."),
        _time("to", "Up to this time; an hour that has begun then is in."),
        Parameter("cumulative", "Each interval with all before it.", {"type": "boolean", "default": False}),
        _TENANT,
        roles=_READ,
        statuses=(400, 503),
    ),
    _get("/v1/tables", "The tables that the key may read.", "Tables", roles=_READ),
    _get(
        "/v1/tables/{name}",
        "A page of a table.",
        "TablePage",
        Parameter("limit", "Rows of a page.", {"type": "integer", "minimum": 1, "maximum": 1000, "default": 100}),
        Parameter("after", "`next` of the page before.", {"type": "string"}),
        _TENANT,
        roles=_READ,
        statuses=(400, 404, 503),
        examples={"name": "cost-totals"},
    ),
    _get(_ROUTING, "The policies that requests are routed by.", "RoutingInForce", roles=_ADMIN, statuses=(503,)),
    Described(
        "PUT",
        _ROUTING,
        _OPERATIONS,
        "Routes by other policies from now on, in every process within a second, until this is withdrawn.",
        Answer("They are in force; `warnings` tell of names that mean nothing.", "RoutingInForce"),
        statuses=(422, 503),
        roles=_ADMIN,
        body="RoutingSection",
        description="The section `routing` of the operator's file, as JSON, whole: it takes the place of what was before.",
    ),
    Described(
        "DELETE",
        _ROUTING,
        _OPERATIONS,
        "Gives the operator's file its word back.",
        Answer("The file's policies are in force.", "RoutingInForce"),
        statuses=(503,),
        roles=_ADMIN,
    ),
    Described("GET", "/openapi.json", _DOCUMENTS, "This document.", Answer("OpenAPI 3.1.", {"type": "object"})),
    Described("GET", "/asyncapi.json", _DOCUMENTS, "The topics.", Answer("AsyncAPI 3.0.", {"type": "object"})),
    Described("GET", "/docs", _DOCUMENTS, "This document as a page.", Answer("A page.", {"type": "string"}, ("text/html",))),
    Described("GET", "/docs/topics", _DOCUMENTS, "The topics as a page.", Answer("A page.", {"type": "string"}, ("text/html",))),
)
