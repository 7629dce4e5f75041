"""The paths of webhooks, and the live view."""

from collections.abc import Mapping
from dataclasses import replace

from processors.api.openapi import SSE, Answer, Described, Errors, Parameter
from processors.api.openapi_schemas import MAYBE_TEXT, TEXT, TIME, Schema, a_list, an_object

_TAG = "Webhooks"
_READ, _ADMIN = ("read", "admin"), ("admin",)
_MAYBE_TIME: Schema = {**TIME, "type": ["string", "null"]}
_MAYBE_NUMBER: Schema = {"type": ["integer", "null"]}
_EVENTS: Schema = {"type": "array", "items": {"enum": ["request.completed", "request.failed"]}, "minItems": 1}
_SHOWN: Mapping[str, Schema] = {
    "id": TEXT,
    "url": TEXT,
    "events": _EVENTS,
    "description": {"type": "string"},
    "enabled": {"type": "boolean"},
    "created_at": TIME,
    "rotated_at": _MAYBE_TIME,
    "disabled_at": _MAYBE_TIME,
    "disabled_reason": MAYBE_TEXT,
}

SCHEMAS: Mapping[str, Schema] = {
    "WebhookRequest": {
        **an_object(
            "url",
            url={"type": "string", "format": "uri", "description": "https, at a public address."},
            events=_EVENTS,
            description={"type": ["string", "null"], "maxLength": 500},
        ),
        "additionalProperties": False,
    },
    "Webhook": an_object("id url events enabled created_at", **_SHOWN),
    "WebhookWithSecret": an_object(
        "id url events enabled created_at secret", **_SHOWN, secret={"type": "string", "description": "Shown this once."}
    ),
    "Webhooks": an_object("data", data=a_list("Webhook")),
    "WebhookDelivery": an_object(
        "id event status attempts at",
        id=TEXT,
        event=TEXT,
        request_id=MAYBE_TEXT,
        status={"enum": ["waiting", "delivered", "given_up", "dropped", "unknown"]},
        attempts={"type": "integer"},
        at=TIME,
        next_attempt_at=_MAYBE_TIME,
        http_status=_MAYBE_NUMBER,
        answer=MAYBE_TEXT,
        error=MAYBE_TEXT,
        duration_ms=_MAYBE_NUMBER,
    ),
    "WebhookDeliveries": an_object("data", data=a_list("WebhookDelivery")),
}


def _of(method: str, end: str, summary: str, answer: Answer, roles: tuple[str, ...], *statuses: int) -> Described:
    path = f"/v1/webhooks/{{webhook_id}}{end}"
    return Described(method, path, _TAG, summary, answer, statuses=(404, 503, *statuses), roles=roles)


_LIMIT = Parameter("limit", "How many.", {"type": "integer", "minimum": 1, "maximum": 500, "default": 50})

TABLE = (
    Described(
        "POST",
        "/v1/webhooks",
        _TAG,
        "Has an endpoint told when a request of the tenant has its final response.",
        Answer("It is made; its secret is shown this once.", "WebhookWithSecret", headers=("location",)),
        statuses=(409, 503),
        roles=_ADMIN,
        body="WebhookRequest",
        status=201,
    ),
    Described("GET", "/v1/webhooks", _TAG, "The tenant's endpoints.", Answer("All of them.", "Webhooks"), roles=_READ),
    _of("GET", "", "An endpoint.", Answer("It is there.", "Webhook"), _READ),
    replace(_of("DELETE", "", "Ends an endpoint, and what waits for it.", Answer("It is gone."), _ADMIN), status=204),
    _of("POST", "/rotate", "Gives it a new secret.", Answer("The secret is shown this once.", "WebhookWithSecret"), _ADMIN),
    _of("POST", "/enable", "Sends again to one that was disabled.", Answer("It is enabled.", "Webhook"), _ADMIN),
    _of("POST", "/test", "Sends it a `webhook.test` now.", Answer("What came.", "WebhookDelivery"), _ADMIN, 504),
    replace(
        _of("GET", "/deliveries", "Its last deliveries.", Answer("Each as it stands.", "WebhookDeliveries"), _READ, 400),
        parameters=(_LIMIT,),
    ),
    Described(
        "GET",
        "/v1/live",
        "Live",
        "What happens, as server-sent events: a `snapshot`, then an `update` a second.",
        Answer("The events; docs/edge.md has their fields.", {"type": "string"}, (SSE,)),
        roles=_READ,
        parameters=(Parameter("tenant", "For the role `admin`: this tenant's alone.", TEXT),),
    ),
    Described(
        "GET",
        "/",
        "Live",
        "The live page.",
        Answer("A page; it asks for a key.", {"type": "string"}, ("text/html",)),
        others={304: Answer("It has not changed.")},
    ),
    Described(
        "GET",
        "/page/{name}",
        "Live",
        "A file of the live page.",
        Answer("The file.", {"type": "string"}, ("text/css", "text/javascript", "text/html", "image/svg+xml", "text/plain")),
        errors=Errors.OPENAI,
        statuses=(404,),
        others={304: Answer("It has not changed.")},
    ),
)
