import pytest

from processors.api.bad_request import BadRequest
from schemas.errors import SettingsError
from schemas.requests import CacheMode
from streams.cli.trace import Row, read_trace, request_of
from streams.simulator.sizes import of_marker

HEADER = "TIMESTAMP,ContextTokens,GeneratedTokens\n"


def test_rows_keep_their_times_and_sizes():
    rows = list(read_trace([HEADER, "2023-11-16 18:17:03.9799600,4808,10\n", "2023-11-16 18:17:04.0319600,3180,8\n"]))
    assert rows == [Row(2, 0.0, 4808, 10), Row(3, 0.052, 3180, 8)]


def test_columns_may_stand_in_any_order_with_others_between():
    [row] = read_trace(["GeneratedTokens,x,TIMESTAMP,ContextTokens\n", "1,y,2023-11-16,2\n"])
    assert row == Row(2, 0.0, 2, 1)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("never,1,1\n", "TIMESTAMP"),
        ("2023-11-16,-1,1\n", "ContextTokens"),
        ("2023-11-16,1,1.5\n", "GeneratedTokens"),
        ("2023-11-16,1\n", "GeneratedTokens"),
        ("2023-11-16,99999999,1\n", "ContextTokens"),
    ],
)
def test_a_bad_row_is_named_and_the_next_one_is_read(line, why):
    bad, good = read_trace([HEADER, line, "2023-11-16,1,1\n"])
    assert bad[0] == 2
    assert isinstance(bad[1], BadRequest)
    assert why in str(bad[1])
    assert isinstance(good, Row)


def test_a_missing_column_is_refused():
    with pytest.raises(SettingsError, match="GeneratedTokens"):
        list(read_trace(["TIMESTAMP,ContextTokens\n"]))


def test_limit_counts_rows():
    assert len(list(read_trace([HEADER, *["2023-11-16,1,1\n"] * 5], limit=3))) == 3


def test_time_never_runs_backwards_before_the_first():
    rows = list(read_trace([HEADER, "2023-11-16 10:00:01,1,1\n", "2023-11-16 10:00:00,1,1\n"]))
    assert [row.at_s for row in rows] == [0.0, 0.0]


@pytest.mark.parametrize(("tokens", "out"), [(4808, 10), (0, 0), (20, 1), (7437, 1899)])
def test_the_simulator_is_asked_for_the_recorded_sizes(tokens, out):
    request = request_of(Row(5, 0.0, tokens, out), source="trace", tenant="acme", model="auto")
    text = request.messages[0].content
    sizes = of_marker(text)
    assert (sizes.input_tokens, sizes.output_tokens) == (tokens, out)
    assert request.request_id == "trace-5"
    assert request.sampling.max_output_tokens == max(1, out)
    assert request.cache.mode is CacheMode.OFF
    if tokens > 100:
        assert len(text) / 4 == pytest.approx(tokens, rel=0.05)  # four characters a token, as English text has
