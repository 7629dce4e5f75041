"""From a request to the reply it gets: the provider's side of a call as a pure function."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson

from schemas.errors import SettingsError
from streams.simulator import faults, rate_limits
from streams.simulator.answers import answer, embedded
from streams.simulator.ask import Ask, BadRequest, seed_of
from streams.simulator.chance import draw
from streams.simulator.endpoints import Endpoint, Operation, Shape
from streams.simulator.faults import Fault, FaultKind
from streams.simulator.json_instance import BadSchema
from streams.simulator.labels import labels_asked
from streams.simulator.profiles import Profile
from streams.simulator.reply import Part, Reply, plain
from streams.simulator.shapes import WIRES, Wire
from streams.simulator.shapes.stamp import Stamp
from streams.simulator.sizes import BadSizes, asked
from streams.simulator.strike import retry_after, strike, told

FAULT_HEADER = "x-sim-fault"
_JSON = "application/json"
_MESSAGES = {
    400: "Invalid request.",
    401: "Incorrect API key provided.",
    403: "This key may not use this model.",
    404: "The model does not exist or you do not have access to it.",
    429: "Rate limit reached. Please try again later.",
    503: "The service is temporarily unavailable.",
    529: "Overloaded",
}
_OTHER_MESSAGE = "The server had an error while processing your request."
_TOO_LONG = {
    Shape.OPENAI: "This model's maximum context length is 128000 tokens. Please reduce the length of the messages.",
    Shape.ANTHROPIC: "prompt is too long: 200001 tokens > 200000 maximum",
    Shape.GOOGLE: "The input token count exceeds the maximum number of tokens allowed (1048576).",
    Shape.OLLAMA: "the input length exceeds the context length",
}


@dataclass(frozen=True, slots=True)
class Exchange:
    """A reply, and what the log and the counters say of it. `model` is None when the request names none."""

    reply: Reply
    model: str | None = None
    fault: str | None = None


@dataclass(frozen=True, slots=True)
class _Desk:
    """Where a request is answered: whose call it is, in which shape, as its how manieth, and when."""

    wire: Wire
    endpoint: Endpoint
    profile: Profile
    call: int
    stamp: Stamp

    def error(self, status: int, message: str, *, code: str | None = None) -> Reply:
        body = self.wire.error(status, message, provider=self.endpoint.provider, code=code)
        return replace(plain(status, _JSON, body), headers=(self.wire.id_header(self.stamp),))

    def limits(self) -> tuple[tuple[str, str], ...]:
        limit = self.profile.requests_per_minute
        return rate_limits.headers_of(self.endpoint.shape, limit, call=self.call, now_s=self.stamp.now_s)


def exchange(
    endpoint: Endpoint,
    headers: Mapping[str, str],
    raw: bytes,
    *,
    profile: Profile,
    call: int,
    at_s: float,
    now_s: float,
) -> Exchange:
    """The reply to the nth call of a provider, `at_s` seconds after its profile was set. `now_s` is Unix time."""
    stamp = Stamp(draw(profile.seed, call, int(now_s * 1e6)), now_s)
    desk = _Desk(WIRES[endpoint.shape], endpoint, profile, call, stamp)
    model = endpoint.model
    try:
        body = _body(raw)
        model = body["model"] if isinstance(body.get("model"), str) else model
        ask = _ask(desk, headers, body)
        fault = _fault(desk, headers, ask, at_s)
    except BadRequest as problem:
        return Exchange(desk.error(400, str(problem)), model)
    if fault is not None and fault.kind in {FaultKind.HTTP, FaultKind.CONTEXT_TOO_LONG}:
        return Exchange(_refusal(desk, fault), ask.model, str(fault))
    try:
        reply = _answered(desk, ask, fault)
    except BadSchema as problem:
        return Exchange(desk.error(400, str(problem)), ask.model)
    if fault is None:
        return Exchange(reply, ask.model)
    return Exchange(strike(fault, reply, error_event=desk.wire.error_event("Overloaded")), ask.model, str(fault))


def free(endpoint: Endpoint, raw: bytes, outage: Fault | None = None) -> Reply:
    """The reply to a request that no model answers: a list of models, a count of tokens; or the error that all meet now."""
    wire = WIRES[endpoint.shape]
    if outage is not None:
        message = _MESSAGES.get(outage.status, _OTHER_MESSAGE)
        return plain(outage.status, _JSON, wire.error(outage.status, message, provider=endpoint.provider))
    if endpoint.operation is Operation.MODELS:
        return plain(200, _JSON, wire.models())
    try:
        tokens = _read(wire, endpoint, _body(raw)).input_tokens
    except BadRequest as problem:
        return plain(400, _JSON, wire.error(400, str(problem), provider=endpoint.provider))
    return plain(200, _JSON, wire.token_count(tokens))


def _body(raw: bytes) -> Mapping[str, Any]:
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise BadRequest("We could not parse the JSON body of your request.") from error
    if not isinstance(body, dict):
        raise BadRequest("The body must be a JSON object.")
    return body


def _read(wire: Wire, endpoint: Endpoint, body: Mapping[str, Any]) -> Ask:
    try:
        return wire.read(endpoint, body)
    except (AttributeError, TypeError, KeyError, ValueError) as error:
        # A field deep inside is of another type than the API takes; which one, the real providers do not always say either.
        raise BadRequest(f"The request is not of the shape that this API takes ({type(error).__name__}).") from error


def _ask(desk: _Desk, headers: Mapping[str, str], body: Mapping[str, Any]) -> Ask:
    ask = _read(desk.wire, desk.endpoint, body)
    try:
        sizes = asked(headers, ask.metadata, ask.last_user_text)
    except BadSizes as problem:
        raise BadRequest(str(problem)) from problem
    seed = seed_of(desk.endpoint.provider, desk.endpoint.model, body)
    return replace(ask, sizes=sizes, seed=seed, labels=labels_asked(body))


def _fault(desk: _Desk, headers: Mapping[str, str], ask: Ask, at_s: float) -> Fault | None:
    wanted = headers.get(FAULT_HEADER) or ask.sizes.fault
    profile = desk.profile
    if wanted is None:
        return faults.choose(profile.faults, seed=profile.seed, call=desk.call, at_s=at_s) if profile.faults else None
    try:
        fault = faults.parse(wanted)
    except SettingsError as problem:
        raise BadRequest(str(problem)) from problem
    if fault.kind is FaultKind.REFUSED:
        raise BadRequest("A request that has arrived cannot be refused; set the fault in the provider's profile.")
    return fault


def _refusal(desk: _Desk, fault: Fault) -> Reply:
    if fault.kind is FaultKind.CONTEXT_TOO_LONG:
        return desk.error(400, _TOO_LONG[desk.endpoint.shape], code="context_too_long")
    reply = desk.error(fault.status, _MESSAGES.get(fault.status, _OTHER_MESSAGE))
    reply = replace(reply, headers=(*reply.headers, *desk.limits()))
    if fault.retry_after is None:
        return reply
    wait = ("retry-after", retry_after(fault.retry_after, now_s=desk.stamp.now_s))
    return replace(reply, headers=(*reply.headers, wait))


def _answered(desk: _Desk, ask: Ask, fault: Fault | None) -> Reply:
    embedding = desk.endpoint.operation is Operation.EMBEDDINGS
    found = embedded(ask) if embedding else answer(ask)
    says, tokens = told(fault, found.usage), found.usage.output_tokens
    first_s = desk.profile.first_token_s(desk.call)
    delay_s = first_s + desk.profile.tokens_s(desk.call, tokens)
    wire, endpoint, stamp = desk.wire, desk.endpoint, replace(desk.stamp, elapsed_ms=delay_s * 1000)
    headers = (wire.id_header(stamp), *desk.limits())
    if ask.stream and not embedding:
        count = max(1, -(-tokens // desk.profile.tokens_per_event))
        parts = _paced(desk, wire.events(endpoint, ask, found, says, stamp, count=count), first_s)
        return Reply(200, wire.stream_type(ask), parts, streamed=True, headers=headers, usage=found.usage)
    body = wire.vectors(endpoint, ask, says, stamp) if embedding else wire.whole(endpoint, ask, found, says, stamp)
    return Reply(200, _JSON, (Part(body, tokens, delay_s),), headers=headers, usage=found.usage)


def _paced(desk: _Desk, parts: Sequence[Part], first_s: float) -> tuple[Part, ...]:
    """The parts, each with the time that its tokens take; the first waits for the first token as well."""
    profile = desk.profile
    if profile.per_token_ms.median:
        parts = [
            replace(p, delay_s=profile.tokens_s(desk.call, p.output_tokens, part=i)) if p.output_tokens else p
            for i, p in enumerate(parts)
        ]
    return (replace(parts[0], delay_s=parts[0].delay_s + first_s), *parts[1:])
