"""F22: requests and answers at, above and far above the limits."""

from dataclasses import replace

from aiokafka.errors import MessageSizeTooLargeError

from schemas.errors import MalformedRecord
from schemas.outcomes import ResponseStatus
from schemas.requests import InferenceRequest, Message
from schemas.serde import MAX_REQUEST_BYTES, Serde
from streams import topics
from tests.fault.case import CALM, Case, Observed, StackSpec, deployments
from tests.fault.cases._memory import Peaks
from tests.fault.load import Make, mixed
from tests.fault.rig import Rig

RSS_MB = 100.0
LARGE, TOO_LARGE, FAR_TOO_LARGE = 900_000, 1_100_000, 20_000_000
ANSWER_TOKENS, ANSWER_BYTES = 1_400_000, 5_000_000
"""So many of the simulator's tokens are more than that many bytes."""
TIMES = 3
_ENCODE = Serde().of(InferenceRequest).encode


def sized(marker: str, size: int) -> Make:
    """Requests whose text alone takes `size` bytes; the marker says what the simulator answers and bills."""

    def make(name: str, number: int) -> InferenceRequest:
        text = f"[[sim {marker}]] {name} {number} ".ljust(size, "x")
        return replace(mixed(name, number), messages=(Message("user", text),), stream=False)

    return make


async def around_the_limits(rig: Rig) -> Observed:
    """What is within the limit is answered, what is above has an error that says so, and what the broker refuses is told."""
    async with rig.load(120, per_s=30):
        await rig.flowing(20)
        peaks = Peaks.from_now(rig)
        async with rig.load(TIMES, per_s=2, make=sized("out=8", LARGE)) as large:
            pass
        async with rig.load(TIMES, per_s=2, make=sized(f"out={ANSWER_TOKENS}", 0)) as long_winded:
            pass
        above = [_raw(f"{large.name}-above-{n}", TOO_LARGE) for n in range(TIMES)]
        for value in above:
            await rig.publish_raw(topics.REQUESTS, value, key="tenant-0")
        refused = await _refused_by_broker(rig, _raw("far-above", FAR_TOO_LARGE))
        answered = [f"{large.name}-above-{n}" for n in range(TIMES)]
        await rig.seen.until(lambda: all(r in rig.seen.finals for r in answered), 20)
        await rig.drained()
    observed = await rig.conclude(deaths=0, dead_letters=TIMES, other_finals=TIMES)
    return observed.also(
        *(_expected(rig, r, ResponseStatus.OK, None) for r in large.acknowledged),
        *(_expected(rig, r, ResponseStatus.ERROR, "rejected") for r in long_winded.acknowledged),
        *(_expected(rig, r, ResponseStatus.ERROR, "too_large") for r in answered),
        "" if {letter.reason for letter in rig.seen.dead_letters} == {"too_large"} else f"put aside: {rig.seen.dead_letters}",
        "" if _refused_by_client() else "the client's codec takes a request above the limit",
        "" if refused else "the broker took 20 MB",
        *_billed(rig, set(long_winded.acknowledged)),
        *peaks.problems(RSS_MB),
        notes=(peaks.note(),),
    )


def _raw(request_id: str, size: int) -> bytes:
    """A request above the limit, as a client of another make would write it: ours refuses to."""
    small = InferenceRequest(request_id, "tenant-0", "auto", messages=(Message("user", "@" * 8_192),))
    codec = replace(Serde().of(InferenceRequest), max_bytes=10 * FAR_TOO_LARGE)
    return codec.encode(replace(small, messages=(Message("user", "x" * size),)))


def _refused_by_client() -> bool:
    try:
        _ENCODE(sized("out=8", MAX_REQUEST_BYTES)("n", 0))
    except MalformedRecord as error:
        return error.reason == "too_large"
    return False


async def _refused_by_broker(rig: Rig, value: bytes) -> bool:
    try:
        await rig.publish_raw(topics.REQUESTS, value, key="tenant-0")
    except MessageSizeTooLargeError:
        return True
    return False


def _expected(rig: Rig, request_id: str, status: ResponseStatus, kind: str | None) -> str:
    response = rig.first_final(request_id).response
    found = (response.status, None if response.error is None else response.error.kind)
    return "" if found == (status, kind) else f"{request_id} ended as {found}, {(status, kind)} was expected: {response.error}"


def _billed(rig: Rig, request_ids: set[str]) -> list[str]:
    """An answer that does not fit was made all the same: the ledger has what the provider bills."""
    calls = [call for call in rig.provider_calls() if call.request_id in request_ids]
    charged = {event.call_id: event.usage for r in request_ids for event in rig.seen.costs[r]}
    short = [call for call in calls if call.bytes_out < ANSWER_BYTES]
    wrong = [c for c in calls if (usage := charged.get(c.call_id)) is None or usage.output_tokens != c.output_tokens]
    return [
        *(f"the provider sent {call.bytes_out} bytes, {ANSWER_BYTES} were wanted" for call in short[:1]),
        *(f"{call} is charged as {charged.get(call.call_id)}" for call in wrong[:1]),
    ]


CASES = [
    Case(
        "F22",
        "requests of 0.9, 1.1 and 20 MB, answers of 5 MB",
        around_the_limits,
        stack=StackSpec(
            profiles={"default": {**CALM, "per_token_ms": 0.0}},
            catalogue={
                **deployments(timeout_s=20.0),
                "deployments": [d | {"context_tokens": 2_000_000} for d in deployments(timeout_s=20.0)["deployments"]],
            },
        ),
    )
]
