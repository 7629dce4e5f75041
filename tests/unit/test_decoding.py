import json
from datetime import UTC, datetime

from schemas.calls import CallOrdered
from schemas.requests import InferenceRequest, Message, Operation
from schemas.serde import Serde
from streams.cli.consuming import brief
from streams.decoding import Unreadable, decode, dumps

SERDE = Serde()
NOW = datetime(2026, 1, 31, 15, tzinfo=UTC)
REQUEST = InferenceRequest("r1", "acme", "auto", messages=(Message("user", "hi"),))
ORDER = CallOrdered(
    "r1", 1, "acme", "acme", "d", "openai", "m", Operation.CHAT, SERDE.encode(REQUEST), 3, 4, False, 1000, NOW, NOW
)


def test_any_record_decodes_by_the_id_it_carries():
    assert decode(SERDE, SERDE.encode(ORDER)) == ORDER
    assert decode(SERDE, SERDE.encode(REQUEST)) == REQUEST
    assert decode(SERDE, None) is None


def test_what_is_no_record_is_told_and_never_raised():
    value = SERDE.encode(REQUEST)
    cases = {
        "bad_magic": b"hello world",
        "truncated": value[:20],
        "unknown_schema": b"\x00\x00\x00\x0f\xff" + value[5:],
        "trailing_bytes": value + b"x",
    }
    for reason, bad in cases.items():
        found = decode(SERDE, bad)
        assert isinstance(found, Unreadable)
        assert (found.reason, found.value_size) == (reason, len(bad))
    assert isinstance(decode(SERDE, b""), Unreadable)


def test_json_shows_the_request_inside_an_order_decoded_and_other_bytes_as_base64():
    order = json.loads(dumps(ORDER, SERDE))
    assert order["request"]["messages"][0]["content"] == "hi"
    assert order["ordered_at"] == "2026-01-31T15:00:00Z"
    assert json.loads(dumps({"value": b"\x01\x02"}, SERDE)) == {"value": {"base64": "AQI="}}
    assert json.loads(dumps({"value": b"\x00broken"}, SERDE)) == {"value": {"base64": "AGJyb2tlbg=="}}


def test_a_brief_line_has_no_line_breaks_and_is_cut():
    long = InferenceRequest("r1", "acme", "auto", messages=(Message("user", "a\nb " * 1000),))
    line = brief(long, SERDE)
    assert "\n" not in line
    assert len(line) < 300
    assert brief(None, SERDE) == "(tombstone)"
    assert "bad_magic" in brief(decode(SERDE, b"hello"), SERDE)
