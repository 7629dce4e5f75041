"""Providers: what becomes of a call, and what they bill for it, which the caller may never learn."""

from dataclasses import dataclass

from processors.providers.contract import Completion, Failed
from schemas.calls import Billing, CallOrdered, Failure, FailureKind, Output, Usage
from tests.simulation.schedule import CONTEXT, Plan
from tests.simulation.world import CANDIDATES, Billed, World


@dataclass(frozen=True, slots=True)
class Answer:
    """How a call goes: the failure if it fails, whether usage is told, and which part of the tokens the provider bills.

    `at_risk` names the crash point of a worker that holds such an answer unreported.
    """

    name: str
    kind: FailureKind | None = None
    billing: Billing = Billing.NOT_BILLED
    tells_usage: bool = False
    billed: float = 0.0
    retry_after_s: float | None = None
    at_risk: str = "K7"
    finish_reason: str = "stop"


OK = Answer("success", tells_usage=True, billed=1.0, at_risk="K9")
DOWN = Answer("overloaded", FailureKind.OVERLOADED)
UNSENT = Answer("unreachable", FailureKind.UNREACHABLE)
REFUSES = Answer("rejected", FailureKind.REJECTED)
TOO_LONG = Answer("context too long", FailureKind.CONTEXT_TOO_LONG)

ANSWERS = (
    OK,
    OK,
    OK,
    OK,
    OK,
    OK,
    Answer("success without usage", billed=0.7, at_risk="K9"),
    Answer("success, cut off", tells_usage=True, billed=1.0, at_risk="K9", finish_reason="length"),
    DOWN,
    DOWN,
    UNSENT,
    Answer("rate limited", FailureKind.RATE_LIMITED),
    Answer("rate limited, Retry-After 2", FailureKind.RATE_LIMITED, retry_after_s=2.0),
    Answer("rate limited, Retry-After -1", FailureKind.RATE_LIMITED, retry_after_s=-1.0),
    Answer("rate limited, Retry-After 1e9", FailureKind.RATE_LIMITED, retry_after_s=1e9),
    Answer("server error", FailureKind.SERVER_ERROR),
    Answer("server error, unknown if billed", FailureKind.SERVER_ERROR, Billing.UNKNOWN, billed=1.0),
    Answer("timed out, billed", FailureKind.TIMED_OUT, Billing.UNKNOWN, billed=1.0),
    Answer("timed out, not billed", FailureKind.TIMED_OUT, Billing.UNKNOWN),
    Answer("stream cut short", FailureKind.INTERRUPTED, Billing.UNKNOWN, billed=0.4, at_risk="K8"),
    Answer("stream cut short, usage told", FailureKind.INTERRUPTED, Billing.BILLED, tells_usage=True, billed=0.4, at_risk="K8"),
    Answer("malformed reply", FailureKind.MALFORMED_REPLY, Billing.BILLED, billed=1.0, at_risk="K9"),
    Answer("answer too large", FailureKind.REJECTED, Billing.BILLED, tells_usage=True, billed=1.0, at_risk="K9"),
    REFUSES,
    Answer("unauthorized", FailureKind.UNAUTHORIZED),
    TOO_LONG,
)


def ask(world: World, order: CallOrdered, call_id: str, choice: int, *, plan: Plan) -> tuple[Answer, Completion | Failed]:
    """Make a call: enter it into the provider's book, and say what came back."""
    if order.provider in world.out:
        answer = (DOWN, UNSENT)[choice % 2]
    elif plan.long and order.deployment != CANDIDATES[CONTEXT].deployment:
        answer = TOO_LONG
    elif plan.stubborn and not world.faulty:
        answer = (DOWN, REFUSES)[choice % 2]
    elif not world.faulty:
        answer = OK
    else:
        answer = ANSWERS[choice % len(ANSWERS)]
        if plan.stubborn and answer.kind is None:
            answer = DOWN
    return answer, _carry_out(world, order, call_id, choice, answer)


def _carry_out(world: World, order: CallOrdered, call_id: str, choice: int, answer: Answer) -> Completion | Failed:
    world.count[f"call: {answer.name}"] += 1
    key = (order.tenant, order.request_id)
    if answer is not UNSENT:
        world.sent[key] += 1
    used = Usage(order.input_tokens_estimate - choice % 7, round((order.output_tokens_bound - choice % 11) * answer.billed))
    if answer.billed:
        world.book[call_id] = Billed(call_id, key, order.attempt, used.input_tokens, used.output_tokens)
    usage = used if answer.tells_usage else None
    if answer.kind is None:
        return Completion(Output(f"{call_id} of body {order.request.decode()}", finish_reason=answer.finish_reason), usage)
    failure = Failure(answer.kind, answer.name, answer.billing, retry_after_s=answer.retry_after_s)
    return Failed(failure, usage)
