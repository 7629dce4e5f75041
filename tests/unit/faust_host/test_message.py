from types import SimpleNamespace

import pytest
from faust.types.tuples import TP

from streams.faust_host.message import from_record
from streams.faust_host.options import HostOptions


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        pytest.param((), (), id="none"),
        pytest.param((("Faust-Ag-ReplyTo", b"x"),), (), id="reply topic"),
        pytest.param((("faust-ag-correlationid", b"x"), ("a", b"1")), (("a", b"1"),), id="any case"),
        pytest.param((("a", b"1"), ("a", b"2")), (("a", b"1"), ("a", b"2")), id="repeated names stay"),
    ],
)
def test_headers_that_steer_faust_are_dropped(sent: tuple[tuple[str, bytes], ...], kept: tuple[tuple[str, bytes], ...]) -> None:
    record = SimpleNamespace(
        topic="t",
        partition=1,
        offset=2,
        timestamp=1_500,
        timestamp_type=0,
        headers=sent,
        key=b"k",
        value=b"v",
        checksum=None,
        serialized_key_size=1,
        serialized_value_size=1,
    )
    message = from_record(record, TP("t", 1), generation=3, book=None)
    assert message.headers == kept
    assert (message.key, message.value, message.offset, message.timestamp, message.generation_id) == (b"k", b"v", 2, 1.5, 3)


def test_a_poll_must_fit_above_the_high_mark() -> None:
    with pytest.raises(ValueError, match="at most a fifth"):
        HostOptions(group="g", client_id="c", bootstrap_servers="b", buffer_records=100, max_poll_records=21)


def test_heartbeats_come_at_least_each_second() -> None:
    options = HostOptions(group="g", client_id="c", bootstrap_servers="b")
    assert options.heartbeat_ms == 1_000
    assert HostOptions(group="g", client_id="c", bootstrap_servers="b", session_timeout_ms=1_500).heartbeat_ms == 500
    assert options.rebalance_timeout_ms == options.session_timeout_ms + 2_000
