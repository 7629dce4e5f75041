"""Records of ai.requests that are none: each kind with the reason that its dead letter must carry."""

import gzip
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import cycle, islice

from schemas.outcomes import DeadLetter
from schemas.requests import CacheMode, CachePolicy, InferenceRequest, Message
from schemas.serde import HEADER_BYTES, Serde

UNKNOWN_ID = 4_000_000_000
TENANT = "poisoner"
_ENCODE = Serde().of(InferenceRequest).encode
_DEEP = 100_000


@dataclass(frozen=True, slots=True)
class Poison:
    """A value, why it must be put aside, and the request_id whose sender is owed an error, when it can be read."""

    kind: str
    value: bytes
    reason: str
    request_id: str | None = None


def good(request_id: str) -> bytes:
    """A small request that can be answered."""
    return _ENCODE(_request(request_id))


def _request(request_id: str) -> InferenceRequest:
    return InferenceRequest(request_id, TENANT, "auto", messages=(Message("user", "Hello"),), cache=CachePolicy(CacheMode.OFF))


def bad_magic(request_id: str) -> Poison:
    return Poison("bad magic", b"\x01" + good(request_id)[1:], "bad_magic")


def unknown_id(request_id: str) -> Poison:
    value = struct.pack(">bI", 0, UNKNOWN_ID) + good(request_id)[HEADER_BYTES:]
    return Poison("unknown id", value, "unknown_schema", request_id)


def truncated(request_id: str) -> Poison:
    return Poison("truncated", good(request_id)[:-9], "truncated", request_id)


def trailing(request_id: str) -> Poison:
    return Poison("trailing bytes", good(request_id) + b"\x00", "trailing_bytes", request_id)


def deep(request_id: str) -> Poison:
    nested = '{"a":' * _DEEP + "1" + "}" * _DEEP
    return Poison("deep nesting", _ENCODE(replace(_request(request_id), extra_json=nested)), "invalid", request_id)


def billions(request_id: str) -> Poison:
    """An array of 2^31 messages, of which some bytes are there."""
    return Poison("2^31 items", _up_to_messages(request_id) + _varint(2**31) + b"\x00" * 64, "truncated", request_id)


def dense(request_id: str) -> Poison:
    """166,000 messages of six bytes each: 1 MB that would take 80 MB in memory."""
    whole, head = _ENCODE(InferenceRequest(request_id, TENANT, "auto")), _up_to_messages(request_id)
    many = (990_000 - len(whole)) // 6
    return Poison("1 MB of empty messages", head + _varint(many) + bytes(6 * many) + whole[len(head) :], "too_large", request_id)


def compressed(request_id: str) -> Poison:
    """A body that would be large if anything inflated it."""
    return Poison("gzip in a frame", good(request_id)[:HEADER_BYTES] + gzip.compress(bytes(50_000_000)), "truncated")


KINDS: Sequence[Callable[[str], Poison]] = (bad_magic, unknown_id, truncated, trailing, deep, billions, dense, compressed)
SMALL: Sequence[Callable[[str], Poison]] = (bad_magic, unknown_id, truncated, trailing, billions)


def poisons(name: str, count: int, kinds: Sequence[Callable[[str], Poison]] = KINDS) -> Iterator[Poison]:
    """`count` of them, of all kinds in turn, with ids that begin with `name`."""
    for number, kind in enumerate(islice(cycle(kinds), count)):
        yield kind(f"{name}-{number}")


def differences(letters: Sequence[DeadLetter], injected: Mapping[tuple[str, int, int], Poison]) -> Iterator[str]:
    """What the dead letters say that is not what was injected, position by position."""
    found = {(letter.topic, letter.partition, letter.offset): letter for letter in letters}
    if len(found) != len(letters):
        yield f"{len(letters)} dead letters for {len(found)} records"
    if missing := injected.keys() - found.keys():
        yield f"{len(missing)} poisoned records without a dead letter, a {injected[min(missing)].kind} for one"
    if others := found.keys() - injected.keys():
        yield f"{len(others)} dead letters about records that were not poisoned, {min(others)} for one"
    wrong = [(p.kind, p.reason, found[place].reason) for place, p in injected.items() if place in found]
    for kind, expected, reason in sorted({w for w in wrong if w[1] != w[2]}):
        yield f"{kind} was put aside as {reason}, {expected} was expected"
    for place, poison in injected.items():
        if place in found and found[place].value != poison.value[: len(found[place].value)]:
            yield f"the dead letter of a {poison.kind} holds other bytes"


def _up_to_messages(request_id: str) -> bytes:
    """The frame and the fields before the messages of a request without user, session and messages."""
    with_none = _ENCODE(InferenceRequest(request_id, TENANT, "auto"))
    with_one = _ENCODE(InferenceRequest(request_id, TENANT, "auto", messages=(Message("user"),)))
    same = next(i for i, (a, b) in enumerate(zip(with_none, with_one, strict=False)) if a != b)
    return with_none[:same]


def _varint(number: int) -> bytes:
    """Avro's zig-zag varint of a positive number."""
    left, out = number << 1, bytearray()
    while left > 0x7F:
        out.append(left & 0x7F | 0x80)
        left >>= 7
    return bytes([*out, left])
