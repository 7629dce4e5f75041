"""Whatever bytes arrive, decoding ends soon, in little memory, with a record or with a named reason."""

import struct
import time
import tracemalloc
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processors.classify.validate import MAX_JSON_DEPTH, MAX_MESSAGES, problems
from schemas.bounded import READS_A_BYTE
from schemas.errors import MalformedRecord, RecordError, UnknownSchema
from schemas.requests import ContentPart, InferenceRequest, Message
from schemas.serde import (
    HEADER_BYTES,
    MAX_RECORD_BYTES,
    MAX_REQUEST_BYTES,
    MAX_REQUEST_READS,
    RECORDS,
    Codec,
    Serde,
    salvage_request_id,
)
from tests.contract.records import EXAMPLES

SERDE = Serde()
REQUESTS = SERDE.of(InferenceRequest)
GOOD = SERDE.encode(EXAMPLES["InferenceRequest"])
FRAME = GOOD[:HEADER_BYTES]
REASONS = {"truncated", "undecodable", "invalid", "trailing_bytes"}


def reason_of(value: bytes | None) -> str:
    with pytest.raises(RecordError) as caught:
        REQUESTS.decode(value)
    return caught.value.reason


def record_or_reason(codec: Codec[Any], value: bytes) -> Any:
    try:
        return codec.decode(value)
    except RecordError as error:
        return error.reason


def varint(number: int) -> bytes:
    """Avro's zig-zag varint."""
    unsigned = (number << 1) ^ (number >> 63)
    out = bytearray()
    while unsigned > 0x7F:
        out.append(unsigned & 0x7F | 0x80)
        unsigned >>= 7
    return bytes([*out, unsigned])


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        pytest.param(None, "empty", id="no value"),
        pytest.param(b"", "truncated", id="nothing"),
        pytest.param(GOOD[:4], "truncated", id="frame cut off"),
        pytest.param(GOOD[:5], "truncated", id="frame alone"),
        pytest.param(b"\x01" + GOOD[1:], "bad_magic", id="another magic byte"),
        pytest.param(b'{"request_id":"r"}', "bad_magic", id="JSON"),
        pytest.param(struct.pack(">bI", 0, 4_000_000_000) + GOOD[5:], "unknown_schema", id="unknown id"),
        pytest.param(GOOD + b"\x00", "trailing_bytes", id="one byte more"),
        pytest.param(GOOD + GOOD, "trailing_bytes", id="twice"),
        pytest.param(SERDE.encode(EXAMPLES["CostTotal"]), "wrong_type", id="a cost total on the topic of requests"),
        pytest.param(FRAME + b"\x00" * MAX_REQUEST_BYTES, "too_large", id="over the limit"),
        pytest.param(FRAME + b"\x1f\x8b" + b"\x00" * 100, "truncated", id="compressed"),
    ],
)
def test_each_kind_of_damage_has_its_reason(value: bytes | None, reason: str) -> None:
    assert reason_of(value) == reason


@pytest.mark.parametrize("record_type", RECORDS, ids=lambda t: t.__name__)
def test_a_record_cut_off_anywhere_is_refused(record_type: type[Any]) -> None:
    codec = SERDE.of(record_type)
    value = SERDE.encode(EXAMPLES[record_type.__name__])
    for end in range(len(value)):
        with pytest.raises(MalformedRecord) as caught:
            codec.decode(value[:end])
        assert caught.value.reason in REASONS, f"cut after {end} bytes"


@pytest.mark.parametrize("record_type", RECORDS, ids=lambda t: t.__name__)
@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_a_record_with_a_byte_changed_decodes_or_is_refused(record_type: type[Any], data: st.DataObject) -> None:
    value = bytearray(SERDE.encode(EXAMPLES[record_type.__name__]))
    at = data.draw(st.integers(HEADER_BYTES, len(value) - 1))
    value[at] = data.draw(st.integers(0, 255))
    outcome = record_or_reason(SERDE.of(record_type), bytes(value))
    assert isinstance(outcome, record_type) or outcome in REASONS


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300))
def test_noise_behind_a_good_frame_decodes_or_is_refused(noise: bytes) -> None:
    outcome = record_or_reason(REQUESTS, FRAME + noise)
    assert isinstance(outcome, InferenceRequest) or outcome in REASONS


def test_an_unknown_id_says_which_and_what_to_do() -> None:
    with pytest.raises(UnknownSchema, match=r"4000000000.*SCHEMA_REGISTRY_URL"):
        REQUESTS.decode(struct.pack(">bI", 0, 4_000_000_000))


_TO_MESSAGES = b"\x02r\x02t" + b"\x00\x00" + b"\x02" + b"\x02m"  # request_id, tenant, no user, no session, chat, model
_COUNTS = [2**31, 2**31 - 1, 2**62, -(2**31), -(2**62)]


@pytest.mark.parametrize("count", _COUNTS)
@pytest.mark.parametrize("rest", [b"", b"\x00" * 64, b"\x08user\x00" * 20], ids=["nothing", "zeroes", "some items"])
def test_a_count_of_billions_costs_no_more_than_the_body(count: int, rest: bytes) -> None:
    body = _TO_MESSAGES + varint(count) + rest
    began = time.process_time()
    tracemalloc.start()
    try:
        reason = reason_of(FRAME + body)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert reason in REASONS
    assert peak < 5_000_000
    assert time.process_time() - began < 1.0


@pytest.mark.parametrize("length", [2**31, 2**40, 2**62, -1, -(2**40)])
def test_a_string_of_billions_of_bytes_is_refused(length: int) -> None:
    assert reason_of(FRAME + varint(length) + b"abc") in REASONS


def test_a_number_without_end_is_refused_in_little_time() -> None:
    began = time.process_time()
    assert reason_of(FRAME + b"\xff" * (MAX_REQUEST_BYTES - HEADER_BYTES)) == "too_large"
    assert reason_of(FRAME + b"\xff" * (MAX_REQUEST_READS // READS_A_BYTE - HEADER_BYTES)) in REASONS
    assert time.process_time() - began < 2.0


def with_empty_messages(size: int) -> tuple[bytes, int]:
    """The densest request of `size` bytes, and how many messages it has, of six bytes each."""
    whole = SERDE.encode(InferenceRequest("r", "t", "m"))
    head = FRAME + _TO_MESSAGES
    assert whole.startswith(head + b"\x00"), "an array without items follows the model"
    many = (size - len(whole) - 8) // 6
    return head + varint(many) + b"\x00" * 6 * many + whole[len(head) :], many


def traced_peak(value: bytes) -> tuple[Any, int]:
    """What became of the value, and the most memory that took."""
    tracemalloc.start()
    try:
        return record_or_reason(REQUESTS, value), tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_body_of_nothing_but_small_items_is_refused_before_it_is_made() -> None:
    """166,000 messages would take 80 MB, to be refused by validation at the end."""
    value, many = with_empty_messages(MAX_REQUEST_BYTES)
    outcome, peak = traced_peak(value)
    assert outcome == "too_large"
    assert many > 160_000
    assert peak < 10_000_000


@pytest.mark.parametrize(
    "items",
    [
        pytest.param(b"\x00", id="empty"),
        pytest.param(b"\x02a", id="of one letter"),
        pytest.param(b"\x04ab", id="of two letters"),
    ],
)
def test_texts_are_bounded_as_messages_are(items: bytes) -> None:
    many = 300_000
    value = FRAME + _TO_MESSAGES + b"\x00" + varint(many) + items * many
    outcome, peak = traced_peak(value)
    assert outcome == "too_large"
    assert peak < 10_000_000


def test_a_body_too_short_to_be_counted_stays_within_memory() -> None:
    value, many = with_empty_messages(MAX_REQUEST_READS // READS_A_BYTE)
    record, peak = traced_peak(value)
    assert len(record.messages) == many > 5_000
    assert peak < 5_000_000
    assert any("messages has" in problem for problem in problems(record))


def test_the_longest_conversation_that_is_allowed_is_read() -> None:
    said = ContentPart("text", text="What is it?" * 10)
    asked = InferenceRequest("r", "t", "m", messages=(Message("user", parts=(said,), name="n"),) * MAX_MESSAGES)
    value = SERDE.encode(asked)
    assert len(value) * READS_A_BYTE > MAX_REQUEST_READS, "it is counted"
    assert REQUESTS.decode(value) == asked
    assert reason_of(value + b"\x00") == "trailing_bytes"
    assert reason_of(value[:-1]) == "truncated"


@pytest.mark.parametrize("length", [2**31, 2**62, -1, -(2**40)])
def test_a_counted_body_refuses_lengths_as_a_short_one_does(length: int) -> None:
    assert reason_of(FRAME + varint(length) + b"x" * MAX_REQUEST_READS) in REASONS


def test_limits_hold_on_the_way_out_as_well() -> None:
    huge = replace(EXAMPLES["InferenceRequest"], metadata={"k": "x" * MAX_REQUEST_BYTES})
    with pytest.raises(MalformedRecord, match=f"{MAX_REQUEST_BYTES} are allowed") as caught:
        SERDE.encode(huge)
    assert caught.value.reason == "too_large"
    assert MAX_REQUEST_BYTES < MAX_RECORD_BYTES, "an answer and the routing fit around the largest request"


def test_a_record_that_does_not_fit_its_schema_is_not_encoded() -> None:
    with pytest.raises(MalformedRecord) as caught:
        SERDE.encode(replace(EXAMPLES["CostTotal"], calls=2**63))
    assert caught.value.reason == "unencodable"


@pytest.mark.parametrize("field", ["tools_json", "tool_choice_json", "response_format_json", "extra_json", "features_json"])
def test_json_in_json_is_bounded_in_depth(field: str) -> None:
    """Avro's own types nest no deeper than the schema; JSON text carried in a field could."""
    inside = '{"a":' * 200_000 + "1" + "}" * 200_000
    for text in (inside, f"[{inside}]"):
        found = problems(replace(EXAMPLES["InferenceRequest"], **{field: text}))
        assert any(field in problem for problem in found)
    opening, closing = ("[", "]") if field == "tools_json" else ('{"a":', "}")
    levels = MAX_JSON_DEPTH + 1
    found = problems(replace(EXAMPLES["InferenceRequest"], **{field: opening * levels + "1" + closing * levels}))
    assert any(field in problem and str(MAX_JSON_DEPTH) in problem for problem in found)


@pytest.mark.parametrize(
    ("value", "found"),
    [
        pytest.param(GOOD[:40], "req-1", id="cut off later"),
        pytest.param(GOOD + b"junk", "req-1", id="trailing bytes"),
        pytest.param(None, None, id="no value"),
        pytest.param(GOOD[:7], None, id="cut off inside the id"),
        pytest.param(FRAME + varint(300) + b"x" * 300, None, id="too long an id"),
        pytest.param(FRAME + varint(3) + b"a\nb", None, id="control characters"),
        pytest.param(FRAME + varint(2**40) + b"ab", None, id="length of billions"),
        pytest.param(FRAME + b"\x00", None, id="empty id"),
    ],
)
def test_the_request_id_is_read_where_it_can_be(value: bytes | None, found: str | None) -> None:
    assert salvage_request_id(value) == found
